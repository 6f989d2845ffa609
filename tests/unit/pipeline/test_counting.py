"""Counting tokens: whom it asks, what it makes of the answer, and that nothing is held for it."""

import random
import time

import orjson
import pytest

from sluicegate.completions.limits import DEFAULT_LIMITS
from sluicegate.completions.pipeline.completion import Inbound
from sluicegate.completions.pipeline.pipeline import CompletionPipeline
from sluicegate.completions.pipeline.policy import CompletionsPolicy
from sluicegate.completions.pipeline.reuse import Reuse
from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.completions.types import UpstreamFailure
from sluicegate.identity.principal import Principal
from sluicegate.kernel.clock import SystemClock
from sluicegate.kernel.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    UpstreamError,
    UpstreamTimeoutError,
)
from sluicegate.kernel.models import Dialect
from sluicegate.routing.catalogue import Catalogue
from sluicegate.routing.catalogue_policy import ModelsPolicy
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router

SAID = [{"role": "user", "content": "hello"}]
MODELS = {
    "providers": [
        {"name": "ant", "kind": "anthropic", "base_url": "http://a", "dialects": ["anthropic.messages"]}
    ],
    "defaults": {"as_of": "2026-11-20", "tokens_per_request": 100, "auto": False},
    "models": [
        {
            "id": "claude",
            "upstream": "claude-upstream",
            "provider": "ant",
            "capabilities": ["chat", "vision"],
            "context_tokens": 1_000,
            "output_tokens_limit": 100,
            "prices": {"input": "1", "output": "2"},
        }
    ],
}


class Counter:
    """Counts what it is told to, or fails."""

    name, kind = "ant", "anthropic"

    def __init__(self, reply):
        self.reply, self.calls, self.closed = reply, [], 0

    def spoken(self, _model):
        return (Dialect.ANTHROPIC_MESSAGES,)

    def ready(self):
        return None

    async def count_tokens(self, call):
        self.calls.append(call)
        if isinstance(self.reply, Exception):
            raise self.reply
        return self

    @property
    def status(self):
        return self.reply[0]

    async def read(self):
        return self.reply[1]

    def close(self):
        self.closed += 1


@pytest.fixture
def count(build):
    """Counts with a provider that replies so; keywords change the request."""

    async def run(reply, **body):
        counter, admission = Counter(reply), build().admission
        catalogue = Catalogue(ModelsPolicy.model_validate(MODELS))
        router = Router(
            catalogue, RoutingPolicy.model_validate({}), load_classifier(), SystemClock(), random.Random(1)
        )
        policy = CompletionsPolicy()
        pipeline = CompletionPipeline(
            codecs=codecs(), translator=translator, providers={"ant": counter}, router=router,
            admission=admission, reuse=Reuse(admission, None, None, policy, "v"), policy=policy,
            limits=DEFAULT_LIMITS,
        )  # fmt: skip
        principal = Principal("acme", "team", "ann", "key_1", frozenset(), frozenset())
        raw = orjson.dumps({"model": "claude", "messages": SAID, **body})
        inbound = Inbound("req_1", Dialect.ANTHROPIC_MESSAGES, principal, raw, time.perf_counter())
        try:
            return counter, admission, await pipeline.count_tokens(inbound)
        finally:
            assert (admission.held, admission.settled, admission.events) == (0, 0, [])
            assert counter.closed == (len(counter.calls) if isinstance(reply, tuple) else 0)

    return run


async def test_the_provider_is_asked_in_its_own_words(count):
    said = b'{"input_tokens":7,"context_management":{"original_input_tokens":9}}'
    counter, admission, answer = await count((200, said), system="s")
    assert orjson.loads(answer.body) == orjson.loads(said)
    (call,) = counter.calls
    assert orjson.loads(call.body) == {"model": "claude-upstream", "messages": SAID, "system": "s"}
    assert (call.stream, call.request_id) == (False, "req_1")
    assert [grant.held_nano for grant in admission.grants] == [0]
    assert dict(answer.headers)[b"x-sluicegate-model"] == b"claude"


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_that_cannot_count_leaves_it_to_the_estimate(count, status):
    _, _, answer = await count((status, b"nothing here"))
    assert 1 <= orjson.loads(answer.body)["input_tokens"] < 100


async def test_pictures_count_as_pictures(count):
    picture = {"type": "base64", "media_type": "image/png", "data": "A" * 40_000}
    content = [{"type": "image", "source": picture}, {"type": "text", "text": "x" * 400}]
    _, _, answer = await count((404, b""), messages=[{"role": "user", "content": content}])
    assert 1_700 <= orjson.loads(answer.body)["input_tokens"] < 1_850


async def test_a_prompt_longer_than_the_context_is_counted(count):
    said = [{"role": "user", "content": "x" * 100_000}]
    _, _, answer = await count((200, b'{"input_tokens":25000}'), messages=said)
    assert orjson.loads(answer.body) == {"input_tokens": 25_000}


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ((400, b'{"error":{"message":"bad tools"}}'), InvalidRequestError),
        ((401, b'{"error":{"message":"sk-ant-secret-key-here"}}'), UpstreamError),
        ((500, b""), UpstreamError),
        ((200, b"no json"), UpstreamError),
        ((200, b"[]"), UpstreamError),
        ((200, b'{"input_tokens":"7"}'), UpstreamError),
        (UpstreamFailure("connect", "refused", sent=False), UpstreamError),
        (UpstreamFailure("head", "late", sent=True, timeout=True), UpstreamTimeoutError),
    ],
)
async def test_what_goes_wrong_is_told_as_for_a_message(count, reply, error):
    with pytest.raises(error) as caught:
        await count(reply)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"model": "imaginary"}, ModelNotFoundError),
        ({"messages": []}, InvalidRequestError),
        ({"max_tokens": "x"}, InvalidRequestError),
        ({"container": "container_1"}, InvalidRequestError),
    ],
)
async def test_what_is_no_request_is_not_passed_on(count, body, error):
    with pytest.raises(error):
        await count(AssertionError("nobody is asked"), **body)
