"""`sluicegate keys create|list|rotate|revoke`."""

from argparse import Namespace
from typing import Any

from sluicegate.cli.context import Local, run
from sluicegate.cli.operator import operator
from sluicegate.cli.output import say, say_json, say_table, seconds, timestamp, warn
from sluicegate.identity.administration import IssuedKey, KeyRequest
from sluicegate.identity.api_keys import ApiKey


def create(args: Namespace) -> None:
    """Make a key and show it."""
    request = KeyRequest(
        tenant=args.tenant,
        workspace=args.workspace,
        user=args.user,
        name=args.name,
        roles=None if args.role is None else tuple(args.role),
        permissions=None if args.permission is None else tuple(args.permission),
        models=tuple(args.model),
        plan=args.plan,
        timezone=args.timezone,
        life_s=None if args.expires is None else seconds(args.expires, "--expires"),
    )

    async def work(local: Local) -> None:
        _show_issued(args, local, await local.keys.create(request, by=operator()))

    run(args.data, work)


def show(args: Namespace) -> None:
    """List a tenant's keys."""

    async def work(local: Local) -> None:
        keys = [_as_json(local, key) for key in await local.keys.keys(args.tenant)]
        if args.json:
            say_json(keys)
            return
        columns = ("id", "name", "workspace", "user", "plan", "prefix", "status", "rotate_by", "expires_at")
        headings = [column.upper().replace("_", " ") for column in columns]
        say_table(headings, [[key[column] for column in columns] for key in keys])

    run(args.data, work)


def rotate(args: Namespace) -> None:
    """Give a key a new secret and show it."""
    overlap = None if args.overlap is None else seconds(args.overlap, "--overlap")

    async def work(local: Local) -> None:
        issued = await local.keys.rotate(args.tenant, args.key, overlap, by=operator())
        _show_issued(args, local, issued)
        if not issued.announced:
            _warn_unannounced(local)

    run(args.data, work)


def revoke(args: Namespace) -> None:
    """End a key now."""

    async def work(local: Local) -> None:
        revocation = await local.keys.revoke(args.tenant, args.key, args.reason, by=operator())
        if args.json:
            say_json({**_as_json(local, revocation.key), "announced": revocation.announced})
        else:
            say(f"{revocation.key.id} is revoked since {timestamp(revocation.key.revoked_at)}")
        if not revocation.announced:
            _warn_unannounced(local)

    run(args.data, work)


def _show_issued(args: Namespace, local: Local, issued: IssuedKey) -> None:
    fields = _as_json(local, issued.key)
    if args.json:
        say_json({"key": issued.text, **fields})
        return
    say(issued.text)
    warn(
        f"{fields['id']} of {fields['tenant']}/{fields['workspace']}: shown only now, so keep it safe; "
        f"rotate it by {fields['rotate_by']}"
    )
    for older in issued.key.secrets[:-1]:
        warn(f"the secret sk-slg-{older.prefix}-… works until {timestamp(older.expires_at)}")


def _warn_unannounced(local: Local) -> None:
    why = "no running server is known" if local.server is None else "Redis cannot be reached"
    warn(f"{why}; instances notice by themselves within {local.identity.cache.ttl_s:g} seconds")


def _as_json(local: Local, key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "workspace": key.workspace,
        "user": key.user,
        "name": key.name,
        "roles": list(key.roles),
        "permissions": None if key.permissions is None else list(key.permissions),
        "models": list(key.models),
        "plan": key.plan,
        "timezone": key.timezone,
        "prefix": key.current.prefix,
        "status": _status(local, key),
        "created_at": timestamp(key.created_at),
        "rotate_by": timestamp(local.keys.rotate_by(key)),
        "expires_at": timestamp(key.expires_at),
        "revoked_at": timestamp(key.revoked_at),
        "revoked_reason": key.revoked_reason,
    }


def _status(local: Local, key: ApiKey) -> str:
    now = local.clock.now()
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "overdue" if local.keys.rotate_by(key) <= now else "active"
