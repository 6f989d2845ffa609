"""Whatever the body holds, the engine answers, and its steps hold as many tokens as its figures say."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.providers.scripted.engine import ScriptedEngine
from sluicegate.kernel.models import Dialect

CHAT, MESSAGES, EMBEDDINGS = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_EMBEDDINGS

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 200)
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["text", "user", "tool", "tool_result", "function", "json_schema", "x [[tokens 3]]", "object"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "function",
                    "name",
                    "parameters",
                    "properties",
                    "required",
                    "$ref",
                    "json_schema",
                    "schema",
                    "tool_calls",
                    "input",
                    "anyOf",
                    "items",
                    "minItems",
                    "enum",
                    "minimum",
                    "multipleOf",
                    "format",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)
FIELDS = [
    "messages",
    "tools",
    "tool_choice",
    "response_format",
    "output_config",
    "stream",
    "stream_options",
    "n",
    "stop",
    "seed",
    "max_tokens",
    "system",
    "input",
    "dimensions",
    "encoding_format",
    "logprobs",
    "top_logprobs",
]


@given(
    dialect=st.sampled_from([CHAT, MESSAGES, EMBEDDINGS]),
    fields=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=8),
    sound=st.booleans(),
)
def test_no_request_makes_it_fail_but_by_an_answer(
    dialect: Dialect, fields: dict[str, Any], *, sound: bool
) -> None:
    body = {"model": "m", **fields}
    if sound:
        body["messages"] = [{"role": "user", "content": "hi"}]
    performance = ScriptedEngine().perform(dialect, orjson.dumps(body))
    tokens = sum(step.tokens for step in performance.steps)
    assert performance.status in {200, 400}
    assert tokens == performance.figures.output


def test_deep_nesting_is_refused() -> None:
    body = b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":%b}]}'
    nested = b'[{"type":"tool_result","content":' * 300 + b'"x"' + b"}]" * 300
    assert ScriptedEngine().perform(MESSAGES, body % nested).status == 200
    nested = b'[{"type":"tool_use","input":' + b"[" * 400 + b"]" * 400 + b"}]"
    assert ScriptedEngine().perform(MESSAGES, body % nested).status == 400
