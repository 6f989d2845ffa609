"""`sluicegate cache invalidate`: make stored answers void, on all instances at once."""

from argparse import Namespace

from sluicegate.caching.policy import CachingPolicy
from sluicegate.caching.tags import voided_tag
from sluicegate.cli.context import Local, run
from sluicegate.cli.operator import SOURCE, operator
from sluicegate.cli.output import say, say_json
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.events import CACHE_INVALIDATED, Event
from sluicegate.kernel.governed import DATA_CHANGED, governed_action, told_first
from sluicegate.kernel.ids import random_id


def invalidate(args: Namespace) -> None:
    """Void the answers that an event or a workspace stands for; with neither, all of the tenant's."""

    async def work(local: Local) -> None:
        if local.server is None:
            raise ConfigurationError("REDIS_URL is not set and no local server runs: there is no cache")
        policy = local.policies.load("caching", CachingPolicy)
        tag = voided_tag(policy.invalidated_by, event=args.event, workspace=args.workspace)
        place = {"event": args.event, "workspace": args.workspace}
        now = local.clock.now()
        change = governed_action(
            args.tenant,
            DATA_CHANGED,
            source=SOURCE,
            at=now,
            user=operator().user,
            workspace=args.workspace,
            payload={"kind": "cache.invalidated", "scope": tag},
        )
        made_void = Event(random_id("cache_"), SOURCE, CACHE_INVALIDATED, now, args.tenant, tag, place)
        async with told_first(local.bus.publisher, change):
            await local.server.tags.bump(args.tenant, tag)
            await local.bus.publisher.publish([made_void])
        if args.json:
            say_json({"tenant": args.tenant, "tag": tag})
        else:
            say(f"void from now on: every stored answer of {args.tenant} tagged {tag}")

    run(args.data, work)
