"""A provider's stream with bytes that are no text: what came before counts, an error event follows."""

import pytest

from sluicegate.completions.registry import codecs
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.models import Dialect

FACTS = RequestFacts("m", stream=True, choices=1, max_output_tokens=None, input_bound=9, input_estimate=3,
                     capabilities=frozenset())  # fmt: skip
GOOD = {
    Dialect.OPENAI_CHAT: 'data: {"choices":[{"index":0,"delta":{"content":"é"}}]}\n\n'.encode(),
    Dialect.ANTHROPIC_MESSAGES: (
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        '"delta":{"type":"text_delta","text":"é"}}\n\n'
    ).encode(),
}
GARBAGE = b"\x00\xff\xfe}{\n\n"


@pytest.mark.parametrize("dialect", GOOD)
@pytest.mark.parametrize("cuts", [[], [3], [len(GARBAGE)], [-3]], ids=["at once", "early", "late", "end"])
def test_garbage_becomes_an_error_event_and_nothing_follows(dialect, cuts):
    meter = codecs()[dialect].meter(FACTS)
    sent = GOOD[dialect] + GARBAGE + GOOD[dialect]
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
    out = b"".join(meter.feed(piece) for piece in pieces) + meter.close()
    assert meter.failed is not None
    assert meter.failed.status == 502
    assert out.startswith(GOOD[dialect])
    assert out.count(b"\n\n") == 2
    assert b"no text" in out.removeprefix(GOOD[dialect])
    assert meter.produced_tokens == 1


@pytest.mark.parametrize("dialect", GOOD)
def test_text_of_any_language_passes(dialect):
    meter = codecs()[dialect].meter(FACTS)
    out = b"".join(meter.feed(GOOD[dialect][i : i + 1]) for i in range(len(GOOD[dialect])))
    assert out == GOOD[dialect]
    assert meter.failed is None
