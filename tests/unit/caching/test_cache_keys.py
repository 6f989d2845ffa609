from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.caching.keys import NOT_DECIDING, answer_key
from sluicegate.kernel.models import Dialect

NAMES = st.text(alphabet="ab:1", min_size=1, max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.sampled_from(["messages", "temperature", "x", "tools"]), JSON, max_size=4)
PARTS = st.tuples(
    NAMES, NAMES, st.sampled_from(list(Dialect)), NAMES, BODIES, st.sampled_from([b"", b"1", b"1:"])
)


def strict(value: Any) -> Any:
    """Python holds True for equal to 1 and False for 0; JSON does not."""
    if isinstance(value, dict):
        return {name: strict(one) for name, one in value.items()}
    if isinstance(value, list):
        return [strict(one) for one in value]
    return (type(value).__name__, value)


@given(PARTS, PARTS)
def test_keys_are_equal_only_where_everything_that_decides_is(one: Any, other: Any) -> None:
    same = one[:4] == other[:4] and strict(one[4]) == strict(other[4]) and one[5] == other[5]
    assert (answer_key(*one) == answer_key(*other)) == same


@given(PARTS, st.integers(0, 3))
def test_no_key_is_shared_across_tenant_version_dialect_or_model(parts: Any, place: int) -> None:
    changed = list(parts)
    if place == 2:
        changed[2] = next(dialect for dialect in Dialect if dialect is not parts[2])
    else:
        changed[place] = parts[place] + "x"
    assert answer_key(*changed) != answer_key(*parts)


@given(BODIES, st.dictionaries(st.sampled_from(sorted(NOT_DECIDING)), JSON, max_size=4))
def test_fields_that_do_not_decide_and_the_order_of_fields_change_nothing(
    body: dict[str, Any], more: dict[str, Any]
) -> None:
    def key(content: dict[str, Any]) -> Any:
        return answer_key("acme", "v1", Dialect.OPENAI_CHAT, "m", content)

    assert key({**body, **more}) == key(body)
    assert key(dict(reversed(list(body.items())))) == key(body)


def test_the_order_of_messages_counts() -> None:
    def key(*texts: str) -> Any:
        return answer_key("acme", "v1", Dialect.OPENAI_CHAT, "m", {"messages": list(texts)})

    assert key("a", "b") != key("b", "a")


def test_a_key_carries_its_tenant() -> None:
    key = answer_key("acme", "v1", Dialect.OPENAI_CHAT, "m", {})
    assert key.tenant == "acme"
    assert len(key.digest) == 40
