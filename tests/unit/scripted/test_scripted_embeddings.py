import base64
import math
import struct
from typing import Any

import orjson
import pytest
from openai.types import CreateEmbeddingResponse

from sluicegate.adapters.providers.scripted.engine import Performance, ScriptedEngine
from sluicegate.kernel.models import Dialect

EMBEDDINGS = Dialect.OPENAI_EMBEDDINGS


def body_of(performance: Performance) -> bytes:
    return b"".join(step.data for step in performance.steps)


def vectors(*texts: str, **fields: Any) -> list[Any]:
    raw = orjson.dumps({"model": "e", "input": list(texts), **fields})
    answer = CreateEmbeddingResponse.model_validate_json(body_of(ScriptedEngine().perform(EMBEDDINGS, raw)))
    return [one.embedding for one in answer.data]


def test_embeddings_are_unit_vectors_nearer_for_similar_texts() -> None:
    cat, kitten, tax = vectors(
        "The cat sat on the mat.", "the cat sat on a mat", "quarterly tax report", dimensions=64
    )
    assert all(math.isclose(math.hypot(*vector), 1.0) for vector in (cat, kitten, tax))

    def likeness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert likeness(cat, kitten) > 0.6 > likeness(cat, tax)


def test_embeddings_in_base64_are_the_same_numbers() -> None:
    raw = orjson.dumps({"model": "e", "input": "hi there", "dimensions": 8, "encoding_format": "base64"})
    answer = orjson.loads(body_of(ScriptedEngine().perform(EMBEDDINGS, raw)))
    numbers = struct.unpack("<8f", base64.b64decode(answer["data"][0]["embedding"]))
    assert numbers == pytest.approx(vectors("hi there", dimensions=8)[0], abs=1e-6)
    assert answer["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_embedding_inputs_of_tokens_and_wrong_inputs() -> None:
    for texts, words in [([1, 2, 3], 3), ([[1, 2], [3]], 3), ("", 1)]:
        performance = ScriptedEngine().perform(EMBEDDINGS, orjson.dumps({"model": "e", "input": texts}))
        assert performance.figures.prompt == words
    for wrong in ({}, {"input": []}, {"input": [None]}, {"input": "x", "dimensions": 5000}):
        assert ScriptedEngine().perform(EMBEDDINGS, orjson.dumps({"model": "e", **wrong})).status == 400
