"""What a provider says in mid-stream of the gateway's own account stays with the gateway."""

import orjson
import pytest

from sluicegate.completions.registry import codecs
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.models import Dialect

FACTS = RequestFacts("m", True, 1, None, 1, 1, frozenset())
CHAT, MESSAGES, RESPONSES = (
    Dialect.OPENAI_CHAT,
    Dialect.ANTHROPIC_MESSAGES,
    Dialect.OPENAI_RESPONSES,
)
QUOTA = {"message": "organisation org-77 is out of credit", "type": "insufficient_quota", "code": "x"}
QUOTES = {"message": "bad key sk-proj-abcdefghijkl", "type": "server_error", "code": None}
BUSY = {"message": "busy, region seven", "type": "server_error", "code": None}


def events(dialect, error):
    """A stream's beginning, and its error event, as the provider of `dialect` sends them."""
    if dialect is CHAT:
        first = b'data: {"choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
        return first, b"data: " + orjson.dumps({"error": error}) + b"\n\n"
    if dialect is MESSAGES:
        first = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":"hello"}}\n\n'
        )
        return first, b"event: error\ndata: " + orjson.dumps({"type": "error", "error": error}) + b"\n\n"
    first = (
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"hello"}\n\n'
    )
    return first, b"event: error\ndata: " + orjson.dumps({"type": "error", "error": error}) + b"\n\n"


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES, RESPONSES])
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(("error", "secret"), [(QUOTA, b"org-77"), (QUOTES, b"sk-proj")])
def test_what_concerns_the_account_is_put_in_our_words(dialect, together, error, secret):
    meter = codecs()[dialect].meter(FACTS)
    first, last = events(dialect, error)
    out = meter.feed(first + last) if together else meter.feed(first) + meter.feed(last)
    assert out.startswith(first)
    assert secret not in out
    assert b'"error"' in out[len(first) :]
    assert out.endswith(b"\n\n")
    assert meter.failed is not None


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES, RESPONSES])
def test_any_other_error_is_passed_on_as_it_came(dialect):
    meter = codecs()[dialect].meter(FACTS)
    first, last = events(dialect, BUSY)
    assert meter.feed(first + last) == first + last
