"""Scripted embeddings: unit vectors made of hashed words, so that similar texts have similar vectors.

Each word sets a few components chosen by its hash (feature hashing, Weinberger et al. 2009); words are
compared without case and punctuation. The same text always gets the same vector.
"""

import base64
import math
import struct
import sys
from array import array
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from sluicegate.adapters.providers.scripted.directives import Directives, parse_directives
from sluicegate.adapters.providers.scripted.prompt import count_words, read_object
from sluicegate.kernel.errors import InvalidRequestError

DEFAULT_DIMENSIONS = 256
MAX_DIMENSIONS = 4_096
MAX_INPUTS = 2_048
_PLACES_PER_WORD = 8


@dataclass(slots=True)
class EmbeddingsRequest:
    """Texts to embed. A list of token numbers counts as a text of those numbers as words."""

    model: str
    texts: list[str]
    words: int
    dimensions: int
    base64: bool
    directives: Directives


def read_embeddings(raw: bytes) -> EmbeddingsRequest:
    """The request in `raw`.

    Raises:
        InvalidRequestError: not JSON, no input, too many inputs, or dimensions out of range.
    """
    body = read_object(raw)
    texts = _texts(body.get("input"))
    dimensions = body.get("dimensions", DEFAULT_DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise InvalidRequestError(f"dimensions is 1 to {MAX_DIMENSIONS}", param="dimensions")
    return EmbeddingsRequest(
        model=body["model"],
        texts=texts,
        words=sum(max(1, count_words(text)) for text in texts),
        dimensions=dimensions,
        base64=body.get("encoding_format") == "base64",
        directives=parse_directives(texts[-1]),
    )


def _texts(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given or len(given) > MAX_INPUTS:
        raise InvalidRequestError(f"input is a text or 1 to {MAX_INPUTS} of them", param="input")
    if all(isinstance(one, int) for one in given):
        given = [given]
    texts = []
    for index, one in enumerate(given):
        if isinstance(one, list):
            texts.append(" ".join(map(str, one)))
        elif isinstance(one, str):
            texts.append(one)
        else:
            raise InvalidRequestError("an input is a text or a list of tokens", param=f"input.{index}")
    return texts


def embedding(text: str, dimensions: int) -> list[float]:
    """The unit vector of `text`, `dimensions` long."""
    vector = [0.0] * dimensions
    for word in text.lower().split():
        for place, sign in _places(word.strip(".,;:!?\"'()[]{}") or word, dimensions):
            vector[place] += sign
    length = math.sqrt(sum(value * value for value in vector))
    if not length:
        vector[0] = length = 1.0
    return [value / length for value in vector]


@lru_cache(maxsize=8_192)
def _places(word: str, dimensions: int) -> tuple[tuple[int, float], ...]:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES_PER_WORD).digest()
    numbers = struct.unpack(f"<{_PLACES_PER_WORD}I", digest)
    return tuple(((number >> 1) % dimensions, 1.0 if number & 1 else -1.0) for number in numbers)


def answer(request: EmbeddingsRequest, reported_words: int) -> bytes:
    """The answer as OpenAI's embeddings list."""
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {
                    "object": "embedding",
                    "index": index,
                    "embedding": _encoded(embedding(text, request.dimensions), as_base64=request.base64),
                }
                for index, text in enumerate(request.texts)
            ],
            "model": request.model,
            "usage": {"prompt_tokens": reported_words, "total_tokens": reported_words},
        }
    )


def _encoded(vector: list[float], *, as_base64: bool) -> list[float] | str:
    if not as_base64:
        return vector
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode("ascii")
