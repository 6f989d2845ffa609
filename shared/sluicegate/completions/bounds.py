"""How many tokens a thing can be, at most or most likely, without running a tokenizer.

A byte-level tokenizer never makes more tokens than there are bytes of text, and JSON never takes fewer
bytes than the text in it. So the body's size bounds the text of a prompt, whatever the model. Media are
not text; each kind has its own bound here, and only URLs and ids of media count as text.
"""

IMAGE_TOKENS = 1_600
"""Tokens one image is held at. A model that may bill more says so (`image_tokens` in the catalogue)."""

DOCUMENT_TOKENS = 460_000
"""A document known only by address or id: 100 pages, each 3 000 tokens of text and one image."""

DOCUMENT_PAGE_TOKENS = 4_600
"""The least an embedded document is held at: one page, its text and its picture."""

AUDIO_BYTES_PER_TOKEN = 16
"""Speech codecs need 1 000 bytes a second; no provider bills more than 32 tokens for one."""

FRAMING_TOKENS = 64
"""What a provider puts around a conversation: role marks, the opening of the answer."""

TOOLS_PREAMBLE_TOKENS = 1_024
"""The instructions a provider adds once a request has tools (Anthropic lists 159 to 804)."""

PROVIDER_TOOL_TOKENS = 4_000
"""A tool the provider defines itself (a computer, a text editor): its definition is not in the body."""

KEPT_TOKENS = 1_050_000
"""The bound of a conversation that the provider keeps and the gateway never saw: a whole context."""

KEPT_ESTIMATE = 4_000
"""The likely length of such a conversation."""

_LONG_DELTA = 32
_BYTES_PER_TOKEN = 4


def document_tokens(base64_length: int) -> int:
    """The bound of an embedded document of `base64_length` characters.

    One token for each of its bytes, at least a page, at most 100 pages. Text that is compressed
    beyond that inside the document is charged as the provider bills it, after the fact.
    """
    return min(DOCUMENT_TOKENS, max(DOCUMENT_PAGE_TOKENS, base64_length * 3 // 4))


def audio_tokens(base64_length: int) -> int:
    """The bound of an embedded recording of `base64_length` characters."""
    return base64_length // AUDIO_BYTES_PER_TOKEN + FRAMING_TOKENS


def delta_tokens(length: int) -> int:
    """Output tokens in a stream's delta of `length` bytes, while the provider has not said its count.

    Providers send a token per delta; those that send several at once make longer deltas, which
    count at four bytes a token.
    """
    return 1 if length <= _LONG_DELTA else length // _BYTES_PER_TOKEN
