"""The complexity classifier: its stored figures are true, and it is bounded."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.routing.complexity import LEVELS, WEIGHTS_FILE, ComplexityClassifier, load_classifier
from sluicegate.routing.prompt_features import NAMES, SAMPLE_HALF, features
from sluicegate.routing.training.trainer import (
    HELD_OUT_EVERY,
    accuracy,
    confusion,
    read_prompts,
    split,
    train,
)

STORED = json.loads(WEIGHTS_FILE.read_text("utf-8"))


def test_the_prompts_are_many_balanced_distinct_and_of_several_languages():
    prompts = read_prompts()
    levels = Counter(prompt.level for prompt in prompts)
    assert len(prompts) >= 240
    assert max(levels.values()) - min(levels.values()) <= 2
    assert len({prompt.text for prompt in prompts}) == len(prompts)
    assert len({prompt.language for prompt in prompts}) >= 10


def test_the_stored_evaluation_is_reproduced_on_the_prompts_held_out():
    _, held = split(read_prompts(), HELD_OUT_EVERY, 0)
    counts = confusion(load_classifier(), held)
    evaluation = STORED["evaluation"]
    assert counts == evaluation["held_out_confusion"]
    assert round(accuracy(counts), 4) == evaluation["held_out_accuracy"]
    assert evaluation["held_out_accuracy"] >= 0.8
    assert evaluation["cross_validation_accuracy"] >= 0.8
    assert counts[0][2] == counts[2][0] == 0


def test_the_documented_figures_are_the_stored_ones():
    text = (Path(__file__).parents[3] / "docs" / "routing.md").read_text("utf-8")
    evaluation = STORED["evaluation"]
    assert f"{evaluation['held_out_accuracy']:.1%}" in text
    assert f"{evaluation['cross_validation_accuracy']:.1%}" in text
    for level, row in zip(LEVELS, evaluation["cross_validation_confusion"], strict=True):
        assert f"| **{level}** | {' | '.join(map(str, row))} |" in text


def test_the_stored_weights_are_what_training_gives():
    kept, _ = split(read_prompts(), HELD_OUT_EVERY, 0)
    trained = train(kept)
    for mine, stored in zip(trained["weights"], STORED["weights"], strict=True):
        assert mine == pytest.approx(stored, abs=1e-4)


def test_more_certainty_can_be_asked_for_before_a_prompt_counts_as_low():
    _, held = split(read_prompts(), HELD_OUT_EVERY, 0)
    usual, strict = (
        [load_classifier(confidence).classify(prompt.text).level for prompt in held]
        for confidence in (0.5, 0.95)
    )
    assert 0 < strict.count("low") < usual.count("low")


@given(st.text(max_size=3_000))
def test_any_text_gets_a_level_and_probabilities(text):
    verdict = load_classifier().classify(text)
    assert verdict.level in LEVELS
    assert sum(verdict.probabilities) == pytest.approx(1.0)
    assert len(features(text)) == len(NAMES)


def test_an_empty_prompt_is_low():
    assert load_classifier().classify("").level == "low"


def test_only_the_ends_of_a_long_text_are_read():
    head, tail = "a, " * SAMPLE_HALF, "b? " * SAMPLE_HALF
    one, other = (head + middle * 10_000 + tail for middle in ("x = {1}; ", "plain word"))
    assert features(one)[1:] == features(other)[1:]


def test_weights_for_other_features_are_refused(tmp_path):
    path = tmp_path / "weights.json"
    path.write_text(json.dumps({**STORED, "features": ["length"]}), "utf-8")
    with pytest.raises(ConfigurationError, match=r"sluicegate\.routing\.training"):
        load_classifier(path=path)


def test_standardisation_is_folded_in_exactly():
    names = len(NAMES)
    weights = [[0.0] * (names + 1), [0.0] * (names + 1), [1.0, 2.0] + [0.0] * (names - 1)]
    classifier = ComplexityClassifier([3.0] * names, [4.0] * names, weights)
    score = 1.0 + 2.0 * (features("hello")[0] - 3.0) / 4.0
    probabilities = classifier.classify("hello").probabilities
    assert probabilities[2] / probabilities[0] == pytest.approx(2.718281828459045**score)
