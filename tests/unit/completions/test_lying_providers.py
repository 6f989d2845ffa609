"""Answers that cannot be right: none is believed, none is the caller's fault, none tells our credentials."""

import pytest

from sluicegate.completions.anthropic import usage as anthropic_usage
from sluicegate.completions.openai_chat import usage as chat_usage
from sluicegate.completions.openai_embeddings.codec import EmbeddingsCodec
from sluicegate.completions.openai_responses import usage as responses_usage
from sluicegate.completions.provider_errors import provider_error, stream_failure
from sluicegate.completions.translate import translator
from sluicegate.kernel.models import Dialect

IMPOSSIBLE = [-1, 10**9, 2**64 - 1, 1.5, "7", True, [], {}]
DECODERS = {
    "chat": (chat_usage.decode_usage, "prompt_tokens", "completion_tokens"),
    "responses": (responses_usage.decode_usage, "input_tokens", "output_tokens"),
    "anthropic": (anthropic_usage.decode_usage, "input_tokens", "output_tokens"),
}


@pytest.mark.parametrize("dialect", DECODERS)
@pytest.mark.parametrize("figure", IMPOSSIBLE)
def test_figures_that_cannot_be_are_no_figures(dialect, figure):
    decode, prompt, output = DECODERS[dialect]
    assert decode({prompt: figure, output: 5}) is None
    assert decode({prompt: 5, output: figure}) is None


@pytest.mark.parametrize("dialect", DECODERS)
def test_one_figure_of_the_two_will_do(dialect):
    decode, prompt, output = DECODERS[dialect]
    assert decode({prompt: 5, output: None}).total_tokens == 5
    assert decode({output: 0}).total_tokens == 0
    assert decode({prompt: None, output: None}) is None


def summed_up(**figures):
    return {"type": "compaction", "input_tokens": 100, "output_tokens": 7, **figures}


def test_what_summing_up_took_is_charged_beside_the_answer():
    iterations = [
        summed_up(cache_read_input_tokens=20),
        {"type": "message", "input_tokens": 3, "output_tokens": 2},
    ]
    usage = anthropic_usage.decode_usage({"input_tokens": 3, "output_tokens": 2, "iterations": iterations})
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (103, 20, 9)


@pytest.mark.parametrize(
    "iterations", [None, 7, "x", {}, [7], [None], [{}], [summed_up(input_tokens="9", output_tokens=None)]]
)
def test_odd_iterations_are_none(iterations):
    figures = {"input_tokens": 3, "output_tokens": 2, "iterations": iterations}
    assert anthropic_usage.decode_usage(figures).total_tokens == 5


def test_iterations_do_not_multiply():
    nested = summed_up(iterations=[summed_up()])
    figures = {"input_tokens": 0, "output_tokens": 0, "iterations": [nested] * 10_000}
    assert anthropic_usage.decode_usage(figures).total_tokens == 64 * 107


@pytest.mark.parametrize("figure", IMPOSSIBLE)
def test_embeddings_are_no_exception(figure):
    codec = EmbeddingsCodec()
    assert codec.usage({"usage": {"prompt_tokens": figure}}) is None
    assert codec.usage({"usage": {"prompt_tokens": 3}}).input_tokens == 3


@pytest.mark.parametrize(
    "client", [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_RESPONSES]
)
@pytest.mark.parametrize("provider", [Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES])
@pytest.mark.parametrize("odd", [None, 1, 1.5, True, "x", {}, [1], [[]], [{}], {"x": 1}])
def test_an_answer_of_any_shape_becomes_an_answer(client, provider, odd):
    message = {"content": odd, "tool_calls": odd, "thinking_blocks": odd, "reasoning_content": odd}
    answers = [
        {"choices": odd, "content": odd, "usage": odd, "id": odd, "stop_reason": odd},
        {"choices": [{"message": odd, "finish_reason": odd}], "content": [{"type": "text", "text": odd}]},
        {"choices": [{"message": message}], "content": [{"type": "tool_use", "input": odd}]},
    ]
    for answer in answers:
        assert isinstance(translator(client, provider).response(answer, "m"), dict)


@pytest.mark.parametrize(
    "credential",
    ["sk-proj-abcdefghijkl", "sk-ant-api03-0123456789", "AIza-SyA0123456789", "Bearer eyJhbGciOiJ9.e30"],
)
def test_a_provider_that_quotes_our_credential_is_not_repeated(credential):
    answer = {"error": {"message": f"Incorrect key: {credential} was given", "type": "x"}}
    for error in (provider_error(400, b'{"error":"%b"}' % credential.encode()), stream_failure(answer)):
        assert credential not in error.message
        assert "[credential]" in error.message
