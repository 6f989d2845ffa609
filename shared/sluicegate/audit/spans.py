"""Which subtrees a proof consists of (RFC 6962, section 2.1): ranges of leaves, the lowest first."""

Span = tuple[int, int]
"""Leaves `[start, end)`; `start` is a multiple of a power of two that is not below `end - start`."""


def inclusion_spans(index: int, size: int) -> list[Span]:
    """Spans beside the way from leaf `index` up to the root: PATH(index, D[size]) of section 2.1.1."""
    spans: list[Span] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    return spans[::-1]


def consistency_spans(first: int, second: int) -> list[Span]:
    """Spans of PROOF(first, D[second]) of section 2.1.2, for 0 < first < second."""
    spans: list[Span] = []
    start, end = 0, second
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((start, middle))
            start = middle
    if start:
        spans.append((start, end))
    return spans[::-1]


def complete_subtrees(span: Span) -> list[Span]:
    """The complete subtrees that a span is made of, largest first."""
    start, end = span
    nodes = []
    while start < end:
        length = 1 << (end - start).bit_length() - 1
        nodes.append((start, start + length))
        start += length
    return nodes


def _split(length: int) -> int:
    """The largest power of two below `length`."""
    return 1 << (length - 1).bit_length() - 1
