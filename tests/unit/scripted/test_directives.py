from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.providers.scripted import directives
from sluicegate.adapters.providers.scripted.directives import (
    Failure,
    Fault,
    FaultKind,
    ToolUse,
    parse_directives,
)
from sluicegate.kernel.errors import InvalidRequestError


def test_text_without_directives_is_left_alone() -> None:
    assert parse_directives("plain [[unknown thing]] text").text == "plain [[unknown thing]] text"
    assert parse_directives("no brackets").text == "no brackets"


def test_every_directive_is_read_and_taken_out_of_the_text() -> None:
    found = parse_directives(
        "Please [[tokens 50]] [[delay 20ms]] [[first 1.5s]] [[cached 10]] [[cache-write 3]] [[reasoning 20]] "
        "[[refuse]] [[wrong-usage]] [[say hello there]] do"
    )
    assert found.text == "Please do"
    assert (found.tokens, found.say, found.cached, found.cache_written) == (50, "hello there", 10, 3)
    assert found.delay_s == pytest.approx(0.02)
    assert found.first_s == pytest.approx(1.5)
    assert (found.reasoning, found.refuse, found.wrong_usage) == (20, True, True)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("[[fail 503]]", Failure(503)),
        ("[[fail 429 retry-after 2]]", Failure(429, retry_after=2)),
        ("[[fail 500 times 3]]", Failure(500, times=3)),
        ("[[fail 500 retry-after 1 times 3 model a/b:c]]", Failure(500, 1, 3, "a/b:c")),
    ],
)
def test_failures(text: str, failure: Failure) -> None:
    assert parse_directives(text).failure == failure


@pytest.mark.parametrize("kind", list(FaultKind))
def test_faults(kind: FaultKind) -> None:
    assert parse_directives(f"[[{kind} after 7]]").fault == Fault(kind, 7)


def test_tools_may_hold_closing_brackets_and_repeat() -> None:
    found = parse_directives('a [[tool one {"x": [[1]], "s": "]]"}]] b [[tool two]]')
    assert found.tools == (ToolUse("one", '{"x": [[1]], "s": "]]"}'), ToolUse("two"))
    assert found.text == "a b"


@pytest.mark.parametrize(
    "text",
    [
        "[[tokens many]]", "[[tokens 100001]]", "[[tokens ²]]", "[[delay 20]]", "[[delay 61s]]",
        "[[first 601s]]", "[[fail 200]]", "[[fail 600]]", "[[fail 500 times 1001]]", "[[stall 5]]",
        "[[cut after x]]", "[[tool x {broken]]", "[[tool]]", "[[say]]", "[[say unclosed", "[[refuse now]]",
    ],
)  # fmt: skip
def test_wrong_arguments_say_the_right_form(text: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"is written \[\["):
        parse_directives(text)


def test_the_number_of_directives_is_bounded() -> None:
    with pytest.raises(InvalidRequestError):
        parse_directives("[[refuse]]" * (directives.MAX_DIRECTIVES + 1))
    with pytest.raises(InvalidRequestError):
        parse_directives("[[tool x]]" * (directives.MAX_TOOL_CALLS + 1))


@given(st.text(alphabet="[] tokensayfil05{}\"':ms-", max_size=80))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    try:
        found = parse_directives(text)
    except InvalidRequestError:
        return
    assert found.tokens is None or found.tokens <= directives.MAX_TOKENS


def test_every_directive_is_documented() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "rehearsal.md").read_text("utf-8")
    for name in directives._READERS:
        assert f"`[[{name}" in manual
        assert f"`[[{name}" in (directives.__doc__ or "")
        assert name in directives._FORMS
