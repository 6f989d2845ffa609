"""A small catalogue and a router over it, with time and chance under control."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue import Catalogue, load_catalogue
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router

CATALOGUE = """
providers:
  - {name: alpha, kind: openai, credential: ALPHA_KEY, dialects: [openai.chat]}
  - {name: beta, kind: anthropic, dialects: [anthropic.messages]}
  - {name: stage, kind: scripted, dialects: [openai.chat]}
defaults:
  as_of: 2026-01-01
  provider: alpha
  capabilities: [chat, streaming]
  context_tokens: 10000
  output_tokens_limit: 8000
profiles:
  tooled: {capabilities: [chat, streaming, tools], tier: high}
models:
  - {id: small, tier: low, quality: {default: 0.6, code: 0.4}, prices: {input: "1", output: "2"}, weight: 1}
  - id: middle
    provider: beta
    tier: mid
    quality: {default: 0.7}
    prices: {input: "3", output: "6"}
    weight: 2
  - id: large
    profile: tooled
    quality: {default: 0.9, code: 0.95}
    prices: {input: "10", output: "20", cached_input: "1"}
    aliases: [big]
    snapshots: [large-2025-01-01]
    fallbacks: [middle, small]
    weight: 3
  - id: old
    tier: low
    quality: {default: 0.9}
    prices: {input: "0.1", output: "0.1"}
    retires_on: 2026-01-01
  - {id: play, provider: stage, tier: low, quality: {default: 0.9}, prices: {input: "0", output: "0"}}
  - {id: manual, auto: false, quality: {default: 1.0}, prices: {input: "0.01", output: "0.01"}}
pools:
  - {name: mixed, models: [small, middle, large], strategy: round_robin}
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Catalogue]:
    def load_text(text: str) -> Catalogue:
        (tmp_path / "models.yaml").write_text(text, "utf-8")
        return load_catalogue(PolicySet(tmp_path))

    return load_text


@pytest.fixture
def catalogue(load: Callable[[str], Catalogue]) -> Catalogue:
    return load(CATALOGUE)


@pytest.fixture
def changed(load: Callable[[str], Catalogue]) -> Callable[..., Catalogue]:
    """The catalogue with one model's fields replaced."""

    def change(model: str, **fields: object) -> Catalogue:
        content = yaml.safe_load(CATALOGUE)
        next(entry for entry in content["models"] if entry["id"] == model).update(fields)
        return load(yaml.safe_dump(content))

    return change


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def router(catalogue: Catalogue, clock: FixedClock) -> Router:
    policy = RoutingPolicy(fallback_models=("small", "play"))
    return Router(catalogue, policy, load_classifier(), clock, random.Random(5))
