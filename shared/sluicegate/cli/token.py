"""`sluicegate token issue|jwks`: tokens signed with the local key, which the local server trusts."""

from argparse import Namespace
from dataclasses import replace

from sluicegate.cli.context import Local, run
from sluicegate.cli.operator import operator
from sluicegate.cli.output import say, say_json, seconds, timestamp
from sluicegate.identity.issuing import TokenIssuer, TokenIssuing, TokenRequest, load_or_create_key
from sluicegate.wiring.places import TOKEN_KEY_NAME


def issue(args: Namespace) -> None:
    """Issue a token."""
    life_s = None if args.expires is None else seconds(args.expires, "--expires")

    request = TokenRequest(
        tenant=args.tenant,
        workspace=args.workspace,
        user=args.user,
        roles=None if args.role is None else tuple(args.role),
        life_s=life_s,
        plan=args.plan,
        timezone=args.timezone,
    )

    async def work(local: Local) -> None:
        asked = request
        if asked.roles is None:
            asked = replace(asked, roles=local.identity.keys.default_roles)
        issuing = TokenIssuing(_issuer(local), local.clock, local.bus.publisher)
        token = await issuing.issue(asked, by=operator())
        if args.json:
            say_json({"token": token.text, "expires_at": timestamp(token.expires_at)})
        else:
            say(token.text)

    run(args.data, work)


def jwks(args: Namespace) -> None:
    """Print the public key set."""

    async def work(local: Local) -> None:
        say_json(_issuer(local).public_jwks())

    run(args.data, work)


def _issuer(local: Local) -> TokenIssuer:
    key = load_or_create_key(local.data / TOKEN_KEY_NAME)
    return TokenIssuer(key, local.roles, local.identity.tokens, local.clock)
