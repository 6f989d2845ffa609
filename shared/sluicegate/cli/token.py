"""`sluicegate token issue|jwks`: tokens signed with the local key, which the local server trusts."""

from argparse import Namespace

from sluicegate.cli.context import Local, run
from sluicegate.cli.output import say, say_json, seconds, timestamp
from sluicegate.identity.issuing import TokenIssuer, load_or_create_key
from sluicegate.wiring.places import TOKEN_KEY_NAME


def issue(args: Namespace) -> None:
    """Issue a token."""
    life_s = None if args.expires is None else seconds(args.expires, "--expires")

    async def work(local: Local) -> None:
        token = _issuer(local).issue(
            tenant=args.tenant,
            workspace=args.workspace,
            user=args.user,
            roles=args.role or local.identity.keys.default_roles,
            life_s=life_s,
            plan=args.plan,
            timezone=args.timezone,
        )
        if args.json:
            ends = local.clock.now() + (life_s or local.identity.tokens.max_life_s)
            say_json({"token": token, "expires_at": timestamp(ends)})
        else:
            say(token)

    run(args.data, work)


def jwks(args: Namespace) -> None:
    """Print the public key set."""

    async def work(local: Local) -> None:
        say_json(_issuer(local).public_jwks())

    run(args.data, work)


def _issuer(local: Local) -> TokenIssuer:
    key = load_or_create_key(local.data / TOKEN_KEY_NAME)
    return TokenIssuer(key, local.roles, local.identity.tokens, local.clock)
