"""A pipeline over made-up providers and an admission that writes down what it is asked."""

import asyncio
import random
import time
from dataclasses import dataclass, field
from types import SimpleNamespace

import orjson
import pytest

from sluicegate.admission.types import Grant
from sluicegate.completions.limits import DEFAULT_LIMITS
from sluicegate.completions.pipeline.completion import Inbound
from sluicegate.completions.pipeline.controls import NONE
from sluicegate.completions.pipeline.pipeline import CompletionPipeline
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.reuse import Reuse
from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.completions.types import UpstreamFailure
from sluicegate.identity.principal import Principal
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.errors import BudgetExceededError
from sluicegate.kernel.models import Dialect
from sluicegate.routing.catalogue import Catalogue
from sluicegate.routing.catalogue_policy import ModelsPolicy
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router

MODEL = {
    "capabilities": ["chat", "streaming", "multiple_choices", "vision"],
    "context_tokens": 100_000,
    "output_tokens_limit": 100_000,
}
MODELS = {
    "providers": [
        {"name": name, "kind": "openai", "base_url": "http://127.0.0.1", "dialects": ["openai.chat"]}
        for name in ("alpha", "beta")
    ],
    "defaults": {"as_of": "2026-11-20", "tokens_per_request": 10_000, "auto": False},
    "models": [
        MODEL
        | {
            "id": "first",
            "provider": "alpha",
            "prices": {"input": "1", "output": "2"},
            "fallbacks": ["second"],
        },
        MODEL | {"id": "second", "provider": "beta", "prices": {"input": "10", "output": "20"}},
    ],
}


@dataclass
class Script:
    """What a made-up provider does with one call: fail, or answer with these pieces after a while."""

    status: int = 200
    pieces: tuple[bytes, ...] = ()
    delay_s: float = 0.0
    piece_delay_s: float = 0.0
    fails: UpstreamFailure | None = None
    breaks: bool = False


@dataclass
class MadeUpProvider:
    name: str
    scripts: list[Script] = field(default_factory=list)
    calls: list = field(default_factory=list)
    cancelled: list[bytes] = field(default_factory=list)
    kind: str = "openai"

    def spoken(self, _model):
        return (Dialect.OPENAI_CHAT,)

    def ready(self):
        return None

    async def send(self, call):
        self.calls.append(call)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        await asyncio.sleep(script.delay_s)
        if script.fails is not None:
            raise script.fails
        return MadeUpReply(self, script)


class MadeUpReply:
    def __init__(self, provider, script):
        self.provider, self.script = provider, script
        self.status, self.headers = script.status, {}
        self.left = list(script.pieces)

    async def read(self):
        return b"".join(self.left)

    async def chunks(self):
        while self.left:
            yield self.left.pop(0)
            await asyncio.sleep(self.script.piece_delay_s)
        if self.script.breaks:
            raise UpstreamFailure("body", "closed early", sent=True)

    async def cancel(self, linger_s):
        rest = b"".join(self.left)
        self.left.clear()
        self.provider.cancelled.append(rest)
        return rest

    def close(self):
        self.left.clear()


@dataclass
class RecordingAdmission:
    """Grants up to `budget` nano-dollars and writes everything down."""

    budget: int = 10**12
    held: int = 0
    settled: int = 0
    grants: list = field(default_factory=list)
    events: list = field(default_factory=list)
    replaced: list = field(default_factory=list)
    refuse_growth: bool = False
    hangs_on_fallback: bool = False
    hanging: asyncio.Event = field(default_factory=asyncio.Event)

    async def admit(self, ask):
        old = ask.instead_of
        if self.hangs_on_fallback and not ask.count:
            self.hanging.set()
            await asyncio.sleep(60)
        left = self.budget - self.held - self.settled + (0 if old is None else old.held_nano)
        if left < ask.floor_nano:
            raise BudgetExceededError("the budget is spent")
        nano = min(ask.want_nano, left)
        self.held += nano - (0 if old is None else old.held_nano)
        grant = Grant(
            ask.request_id, ask.subject, nano, ask.tokens, left - nano, "g", hold_id=f"h{len(self.grants)}"
        )
        grant.at = 1_700_000_000.0 + len(self.grants)
        self.grants.append(grant)
        self.replaced += [] if old is None else [old]
        return grant

    def abandon(self, grant):
        pass

    async def grow(self, grant, nano, tokens=0):
        if self.refuse_growth or self.held + self.settled + nano > self.budget:
            return False
        self.held += nano
        grant.held_nano += nano
        grant.held_tokens += tokens
        return True

    async def settle(self, grant, nano, tokens, event):
        self.held -= grant.held_nano
        self.settled += nano
        self.events.append((grant.hold_id, nano, orjson.loads(event)["data"]))

    async def release(self, grant, event=None):
        self.held -= grant.held_nano
        if event:
            self.events.append((grant.hold_id, 0, orjson.loads(event)["data"]))


class Bench:
    """The pipeline with its surroundings."""

    def __init__(self, routing, policy):
        catalogue = Catalogue(ModelsPolicy.model_validate(MODELS))
        self.alpha, self.beta = MadeUpProvider("alpha"), MadeUpProvider("beta")
        self.admission = RecordingAdmission()
        self.departure = None
        self.router = router = Router(catalogue, routing, load_classifier(), SystemClock(), random.Random(1))
        self.pipeline = CompletionPipeline(
            codecs=codecs(),
            translator=translator,
            providers={"alpha": self.alpha, "beta": self.beta},
            router=router,
            admission=self.admission,
            reuse=Reuse(self.admission, None, None, policy, "v"),
            policy=policy,
            limits=DEFAULT_LIMITS,
        )

    async def ask(self, controls=NONE, **body):
        """The answer to a chat completion of model `first`."""
        content = {"model": "first", "messages": [{"role": "user", "content": "hello"}]} | body
        principal = Principal("acme", "team", "ann", "key_1", frozenset(), frozenset())
        started = time.perf_counter()
        inbound = Inbound("req_1", Dialect.OPENAI_CHAT, principal, orjson.dumps(content), started, controls)
        self.departure = inbound.departure
        return await self.pipeline.run(inbound)


@pytest.fixture
def build():
    """Makes a bench; keywords change the routing policy (`retry`, `hedge`) and `completions` the other."""

    def make(completions=None, **routing):
        retry = {"base_delay_s": 0.001, "max_delay_s": 0.002} | routing.pop("retry", {})
        return Bench(
            RoutingPolicy.model_validate({"retry": retry, **routing}),
            CompletionsPolicy.model_validate(completions or {}),
        )

    return make


def whole(prompt=10, output=5):
    """A whole answer with these token counts."""
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    return orjson.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage})


def delta(text):
    """One streamed piece."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + orjson.dumps({"id": "c", "choices": [choice]}) + b"\n\n"


def ending(prompt=10, output=5):
    """The end of a stream, with its usage."""
    usage = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}
    return b"data: " + orjson.dumps({"id": "c", "choices": [], "usage": usage}) + b"\n\ndata: [DONE]\n\n"


@pytest.fixture
def wire():
    """What providers are scripted with."""
    return SimpleNamespace(
        Script=Script,
        Reply=MadeUpReply,
        ANTHROPIC=Dialect.ANTHROPIC_MESSAGES,
        whole=whole,
        delta=delta,
        ending=ending,
    )
