"""How complex a prompt is: low, medium or high, by a small logistic model over its shape.

The weights are trained by `sluicegate.routing.training` on labelled prompts and kept as data with their
evaluation (`complexity_weights.json`; figures in docs/routing.md). Nothing here knows a word of any language.
"""

import json
import math
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Any

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.routing.policy import Complexity
from sluicegate.routing.prompt_features import NAMES, features

LEVELS: tuple[Complexity, ...] = ("low", "medium", "high")
WEIGHTS_FILE = Path(__file__).with_name("complexity_weights.json")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A level and the probabilities of all three, in the order of `LEVELS`."""

    level: Complexity
    probabilities: tuple[float, float, float]


class ComplexityClassifier:
    """Multinomial logistic regression.

    Args:
        mean, scale: per feature, as seen in training; features are standardised by them.
        weights: per level, the bias and one weight per feature.
        low_confidence: the probability from which a prompt counts as low.
    """

    def __init__(
        self,
        mean: list[float],
        scale: list[float],
        weights: list[list[float]],
        *,
        low_confidence: float = 0.5,
    ) -> None:
        self._low_confidence = low_confidence
        # Standardisation folded into the weights: one product per feature is left.
        self._rows = [[w / s for w, s in zip(row[1:], scale, strict=True)] for row in weights]
        self._biases = [
            row[0] - sum(map(mul, folded, mean)) for row, folded in zip(weights, self._rows, strict=True)
        ]

    def classify(self, text: str) -> Verdict:
        """The level of `text`; empty text is low."""
        measures = features(text)
        scores = [
            bias + sum(map(mul, row, measures)) for bias, row in zip(self._biases, self._rows, strict=True)
        ]
        top = max(scores)
        low, medium, high = (math.exp(score - top) for score in scores)
        total = low + medium + high
        probabilities = (low / total, medium / total, high / total)
        if probabilities[0] >= max(self._low_confidence, probabilities[1], probabilities[2]):
            return Verdict("low", probabilities)
        return Verdict("high" if high > medium else "medium", probabilities)


def load_classifier(low_confidence: float = 0.5, path: Path = WEIGHTS_FILE) -> ComplexityClassifier:
    """The classifier with the shipped weights.

    Raises:
        ConfigurationError: the weights were trained for other features; train again.
    """
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if document["features"] != list(NAMES) or document["levels"] != list(LEVELS):
        raise ConfigurationError(
            f"{path}: trained for other features; run `python -m sluicegate.routing.training`"
        )
    return ComplexityClassifier(
        document["mean"], document["scale"], document["weights"], low_confidence=low_confidence
    )
