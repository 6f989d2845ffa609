"""The rehearsal upstream with an account per request: `python -m exactness_rig.upstream`.

Every prompt of this rig holds a tag, and `GET /account` tells what was produced for each of them, per model,
over all tries. So every usage row can be held against the truth, not only their sum.
"""

import asyncio
import re
import signal
import sys

import orjson
import uvloop

from sluicegate.adapters.providers.scripted.engine import Performance, ScriptedEngine
from sluicegate.adapters.providers.scripted.production import Production
from sluicegate.adapters.providers.scripted.script import Figures
from sluicegate.adapters.providers.scripted.server import ScriptedServer
from sluicegate.kernel.models import Dialect

_TAG = re.compile(rb"\bt-[0-9]+-[0-9]+\b")


class TaggedProduction(Production):
    """Counts for one tag, and on for everybody."""

    overall: Production

    def begun(self, model: str, figures: Figures) -> None:
        super().begun(model, figures)
        self.overall.begun(model, figures)

    def wrote(self, model: str, tokens: int) -> None:
        super().wrote(model, tokens)
        self.overall.wrote(model, tokens)

    def aborted(self, model: str) -> None:
        super().aborted(model)
        self.overall.aborted(model)

    def failed(self, model: str) -> None:
        super().failed(model)
        self.overall.failed(model)


class TaggedEngine(ScriptedEngine):
    """The scripted model, with a production per tag."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: dict[str, TaggedProduction] = {}

    def perform(self, dialect: Dialect, raw: bytes) -> Performance:
        performance = super().perform(dialect, raw)
        found = _TAG.search(raw)
        if found is not None:
            tag = found[0].decode()
            production = self.tags.get(tag)
            if production is None:
                production = self.tags[tag] = TaggedProduction()
                production.overall = self.production
            performance.production = production
        return performance


class TaggedServer(ScriptedServer):
    """The upstream, with `/account`."""

    def __init__(self) -> None:
        self.tagged = TaggedEngine()
        super().__init__(engine=self.tagged)

    def answer(self, request):  # type: ignore[no-untyped-def]
        if request.path == b"/account":
            account = {tag: each.as_json()["models"] for tag, each in self.tagged.tags.items()}
            return self._json(orjson.dumps(account))
        return super().answer(request)


async def _serve() -> None:
    server = TaggedServer()
    sys.stdout.write(await server.start() + "\n")
    sys.stdout.flush()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.close()


if __name__ == "__main__":
    uvloop.run(_serve())
