# ruff: noqa: RUF001 - the punctuation of many scripts is what is counted here
"""What can be measured of a prompt's shape in well under 100 µs, in any language, without a list of words.

Only counts that run in C are used, over at most the first and the last 512 characters.
"""

import math
import re

SAMPLE_HALF = 512

NAMES = (
    "length",
    "words_per_sentence",
    "letters_per_word",
    "long_words",
    "lexical_variety",
    "clauses",
    "questions",
    "question_share",
    "lines",
    "list_items",
    "digits",
    "code_marks",
    "mathematics",
    "quotations",
    "quoted_share",
    "capitals",
    "hyphens",
    "dense_script",
)

_DENSE_RUNS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_LIST_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_QUOTED = re.compile("[“„«「]([^”“»」]*)[”“»」]")
_SENTENCE_ENDS = (". ", ".\n", "? ", "?\n", "! ", "!\n", "。", "！", "？", "।", "\n")
_CLAUSE_MARKS = ",;:，、；："
_CODE_MARKS = "{}[]()=<>_`"
_MATH_MARKS = "+^∑∫√≤≥∈→\\×−≠²∞"
_DIGITS = "0123456789"

# A character of Chinese, Japanese or Korean says about as much as half a word of an alphabetic script.
_WORDS_PER_DENSE = 0.5
_LETTERS_PER_DENSE = 3
_LONG_WORD = 9


def features(text: str) -> tuple[float, ...]:
    """The measures that `NAMES` lists. The length is that of all of `text`, the rest of its sample."""
    whole = len(text)
    if len(text) > 2 * SAMPLE_HALF:
        text = text[:SAMPLE_HALF] + text[-SAMPLE_HALF:]
    count = text.count
    pieces = text.split()
    quotes = count('"')
    quoted = sum(map(len, text.split('"')[1::2])) if quotes > 1 else 0
    dense = 0
    if not text.isascii():
        dense = sum(map(len, _DENSE_RUNS.findall(text)))
        inside = _QUOTED.findall(text)
        quotes += 2 * len(inside)
        quoted += sum(map(len, inside))
    words = max(1.0, len(pieces) + dense * _WORDS_PER_DENSE)
    letters = len(text) + dense * (_LETTERS_PER_DENSE - 1)
    size = max(1, letters, whole)
    lines = count("\n")
    sentences = 1 + sum(map(count, _SENTENCE_ENDS))
    long_words = dense / 8 if dense else sum(map(_LONG_WORD.__le__, map(len, pieces)))
    questions = count("?") + count("？") + count("؟")
    return (
        math.log(size),
        math.log(words / sentences),
        min(letters / words, 12.0),
        long_words / words,
        len(set(pieces)) / max(1, len(pieces)),
        math.log1p(sum(map(count, _CLAUSE_MARKS))),
        math.log1p(questions),
        questions / sentences,
        math.log1p(lines),
        math.log1p(len(_LIST_ITEM.findall(text)) if lines else 0),
        math.log1p(sum(map(count, _DIGITS))),
        math.log1p(sum(map(count, _CODE_MARKS))),
        math.log1p(sum(map(count, _MATH_MARKS))),
        math.log1p(quotes),
        quoted / max(1, len(text)),
        math.log1p(sum(map(str.isupper, pieces))),
        math.log1p(count("-") + count("–") + count("—")),
        dense / max(1, len(text)),
    )
