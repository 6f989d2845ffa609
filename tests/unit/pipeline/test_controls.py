"""The `x-sluicegate-*` headers."""

import pytest

from sluicegate.caching.types import CacheMode
from sluicegate.completions.pipeline.controls import NONE, read_controls
from sluicegate.kernel.errors import InvalidRequestError


def test_without_any_the_shared_default_is_given():
    assert read_controls([(b"host", b"x"), (b"authorization", b"Bearer x")]) is NONE


def test_every_control_is_read():
    controls = read_controls(
        [
            (b"x-sluicegate-workspace", b"Growth"),
            (b"x-sluicegate-mission", b"build"),
            (b"x-sluicegate-agent", b"coder"),
            (b"x-sluicegate-task", b"summary"),
            (b"x-sluicegate-quality", b"0.8"),
            (b"x-sluicegate-max-cost-usd", b"0.05"),
            (b"x-sluicegate-priority", b"critical"),
            (b"x-sluicegate-cache", b"refresh"),
            (b"x-sluicegate-approval", b"apr_1"),
            (b"x-sluicegate-strategy", b"latency"),
            (b"x-sluicegate-debug", b"true"),
            (b"idempotency-key", b"order 66"),
        ]
    )
    assert (controls.workspace, controls.mission, controls.agent) == ("growth", "build", "coder")
    assert (controls.task, controls.quality, controls.max_cost_nano) == ("summary", 0.8, 50_000_000)
    assert (controls.priority, controls.cache) == ("critical", CacheMode.REFRESH)
    assert (controls.approval, controls.strategy, controls.debug) == ("apr_1", "latency", True)
    assert controls.idempotency_key == "order 66"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"workspace", b"a b"),
        (b"workspace", b""),
        (b"agent", b"x" * 65),
        (b"mission", b"{tag}"),
        (b"task", "müde".encode()),
        (b"quality", b"1.5"),
        (b"quality", b"NaN"),
        (b"quality", b"high"),
        (b"max-cost-usd", b"-1"),
        (b"max-cost-usd", b"1e99"),
        (b"priority", b"urgent"),
        (b"cache", b"on"),
        (b"strategy", b"best"),
        (b"debug", b"yes"),
        (b"max-cost", b"1"),  # a misspelt limit must not be ignored
        (b"", b"1"),
    ],
)
def test_a_malformed_or_unknown_one_is_refused_by_name(name, value):
    with pytest.raises(InvalidRequestError) as error:
        read_controls([(b"x-sluicegate-" + name, value)])
    assert error.value.param == "x-sluicegate-" + name.decode()


@pytest.mark.parametrize("value", [b"", b"x" * 256, "schlüssel".encode()])
def test_an_idempotency_key_is_bounded_ascii(value):
    with pytest.raises(InvalidRequestError, match="idempotency-key"):
        read_controls([(b"idempotency-key", value)])


@pytest.mark.parametrize("name", [b"x-sluicegate-max-cost-usd", b"idempotency-key"])
def test_of_two_values_neither_is_taken(name):
    with pytest.raises(InvalidRequestError) as refused:
        read_controls([(name, b"0.5"), (name, b"100")])
    assert refused.value.param == name.decode()


def test_a_value_that_is_not_ascii_is_named_in_plain_words():
    with pytest.raises(InvalidRequestError, match="must be ASCII text"):
        read_controls([(b"x-sluicegate-task", b"\xe9")])
