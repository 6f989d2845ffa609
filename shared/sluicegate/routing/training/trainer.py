"""Logistic regression by gradient descent in plain Python: a few seconds for a few hundred prompts.

`prompts.jsonl` holds prompts written for this purpose and labelled in one hand after this rule: low can be
answered by one fact or one mechanical change; medium asks for a piece of ordinary work; high asks for a
proof, a design, a diagnosis or a judgement of several steps. The figures say how well that rule is
learned; how well it fits other people's traffic they cannot say.
"""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Any

from sluicegate.routing.complexity import LEVELS, ComplexityClassifier
from sluicegate.routing.prompt_features import NAMES, features

PROMPTS_FILE = Path(__file__).with_name("prompts.jsonl")
HELD_OUT_EVERY = 4
FOLDS = 5
PENALTY = 0.005
STEPS = 300
RATE = 0.5


@dataclass(frozen=True, slots=True)
class LabelledPrompt:
    """A prompt, its language (ISO 639-1) and the level it is labelled with."""

    text: str
    language: str
    level: int


def read_prompts(path: Path = PROMPTS_FILE) -> list[LabelledPrompt]:
    """The data set, in an order that depends on the texts only."""
    prompts = []
    for line in path.read_text("utf-8").splitlines():
        entry = json.loads(line)
        prompts.append(LabelledPrompt(entry["text"], entry["lang"], LEVELS.index(entry["label"])))
    return sorted(prompts, key=lambda prompt: (prompt.level, zlib.crc32(prompt.text.encode())))


def split(prompts: Sequence[LabelledPrompt], every: int, offset: int) -> tuple[list[LabelledPrompt], ...]:
    """A training part and the held-out part: each `every`th prompt from `offset`, spread over the levels."""
    held = [prompt for at, prompt in enumerate(prompts) if at % every == offset]
    kept = [prompt for at, prompt in enumerate(prompts) if at % every != offset]
    return kept, held


def train(prompts: Sequence[LabelledPrompt]) -> dict[str, Any]:
    """Mean, scale and weights of a classifier for `prompts`."""
    rows = [features(prompt.text) for prompt in prompts]
    columns = list(zip(*rows, strict=True))
    mean = [sum(column) / len(column) for column in columns]
    scale = [
        math.sqrt(sum((value - middle) ** 2 for value in column) / len(column)) or 1.0
        for column, middle in zip(columns, mean, strict=True)
    ]
    inputs = [[1.0, *((v - m) / s for v, m, s in zip(row, mean, scale, strict=True))] for row in rows]
    weights = [[0.0] * (len(NAMES) + 1) for _ in LEVELS]
    for _ in range(STEPS):
        _descend(weights, inputs, [prompt.level for prompt in prompts])
    return {
        "mean": [round(value, 6) for value in mean],
        "scale": [round(value, 6) for value in scale],
        "weights": [[round(value, 6) for value in row] for row in weights],
    }


def confusion(classifier: ComplexityClassifier, prompts: Sequence[LabelledPrompt]) -> list[list[int]]:
    """Counts by labelled level (row) and found level (column)."""
    counts = [[0] * len(LEVELS) for _ in LEVELS]
    for prompt in prompts:
        counts[prompt.level][LEVELS.index(classifier.classify(prompt.text).level)] += 1
    return counts


def accuracy(counts: Sequence[Sequence[int]]) -> float:
    """The share on the diagonal."""
    return sum(row[at] for at, row in enumerate(counts)) / sum(map(sum, counts))


def document(prompts: Sequence[LabelledPrompt]) -> dict[str, Any]:
    """What is stored: the model trained without the held-out prompts, and how it does on them."""
    kept, held = split(prompts, HELD_OUT_EVERY, 0)
    trained = train(kept)
    counts = confusion(ComplexityClassifier(**trained), held)
    folds = [split(prompts, FOLDS, offset) for offset in range(FOLDS)]
    across = [confusion(ComplexityClassifier(**train(rest)), part) for rest, part in folds]
    total = [[sum(fold[i][j] for fold in across) for j in range(len(LEVELS))] for i in range(len(LEVELS))]
    return {
        "features": list(NAMES),
        "levels": list(LEVELS),
        **trained,
        "evaluation": {
            "trained_on": len(kept),
            "held_out": len(held),
            "held_out_accuracy": round(accuracy(counts), 4),
            "held_out_confusion": counts,
            "cross_validation_accuracy": round(accuracy(total), 4),
            "cross_validation_confusion": total,
        },
    }


def _descend(weights: list[list[float]], inputs: Sequence[list[float]], levels: Sequence[int]) -> None:
    """One step of full-batch gradient descent on the penalised cross-entropy; the bias is not penalised."""
    gradient = [[0.0] * len(weights[0]) for _ in weights]
    for row, level in zip(inputs, levels, strict=True):
        scores = [sum(map(mul, weight, row)) for weight in weights]
        top = max(scores)
        exponentials = [math.exp(score - top) for score in scores]
        total = sum(exponentials)
        for at, slope in enumerate(gradient):
            error = exponentials[at] / total - (at == level)
            for column, value in enumerate(row):
                slope[column] += error * value
    for weight, slope in zip(weights, gradient, strict=True):
        for column, value in enumerate(slope):
            penalty = PENALTY * weight[column] if column else 0.0
            weight[column] -= RATE * (value / len(inputs) + penalty)
