"""The policies of a run: four models at two providers, three budgets that cross each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sluicegate.kernel.models import Prices
from sluicegate.kernel.money import pico_per_token

SHIPPED = Path(__file__).resolve().parents[3] / "shared" / "policies"

# USD per million tokens. Some are no whole nano-dollars a token, so that rounding is tried as well.
PRICES: dict[str, dict[str, str]] = {
    "oa-small": {"input": "1.00", "output": "4.00", "cached_input": "0.25"},
    "oa-large": {"input": "2.000123", "output": "8.000457", "cached_input": "0.5"},
    "an-small": {"input": "0.80", "output": "4.000001", "cached_input": "0.08", "cache_write": "1.00"},
    "an-large": {"input": "3.00", "output": "12.00", "cached_input": "0.30", "cache_write": "3.75"},
}
FALLBACKS = {"oa-small": ["oa-large", "an-large"], "an-small": ["an-large", "oa-large"]}


@dataclass(frozen=True, slots=True)
class Money:
    """Limits in USD: per workspace and day, of the tenant in all, and of one key in particular."""

    workspace: str
    tenant: str
    key: str


def prices(model: str) -> Prices:
    """What `model` costs, as the catalogue reads it."""
    listed = {name: pico_per_token(value) for name, value in PRICES[model].items()}
    write = listed.get("cache_write", listed["input"])
    return Prices(
        input=listed["input"],
        output=listed["output"],
        cached_input=listed["cached_input"],
        cache_write=write,
        cache_write_1h=max(write, listed["input"]),
    )


def write_policies(
    folder: Path,
    upstream: str,
    money: Money,
    *,
    small_key: str,
    lifetime_s: float,
    on_unavailable: str = "closed",
    slice_tokens: int = 4096,
    lease_most: int = 128,
) -> None:
    """Write the overlay. `small_key` is the id of the key that has a budget of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    budgets = [
        {"scope": "workspace", "period": "day", "limit_usd": money.workspace},
        {"scope": "tenant", "period": "total", "limit_usd": money.tenant},
        {"scope": "key", "name": small_key, "period": "month", "limit_usd": money.key},
    ]
    _write(
        folder,
        "budgets",
        {
            "budgets": [{**budget, "on_unavailable": on_unavailable} for budget in budgets],
            "holds": {
                "lifetime_s": lifetime_s,
                "heartbeat_s": lifetime_s / 4,
                "reap_s": 0.5,
                "recovery_s": 2.0,
            },
            "waiting": {"seconds": 1, "length": 1000},
            "leases": {"most": lease_most},
        },
    )
    _write(
        folder,
        "limits",
        {
            "on_unavailable": on_unavailable,
            "rates": [
                {"scope": "key", "period": "hour", "limit": 1_000_000},
                {"scope": "tenant", "period": "minute", "limit": 1_000_000},
            ],
            "tokens": [{"scope": "tool", "name": "llm", "period": "day", "limit": 1_000_000_000}],
            "concurrency": [{"scope": "key", "limit": 1_000}],
        },
    )
    _write(folder, "models", _models(upstream))
    routing = _shipped("routing")
    routing["fallback_models"] = ["oa-small"]
    routing["deadlines"] = {"first_byte_s": 5, "idle_s": 1.5, "total_s": 60}
    # Faults are asked for on purpose here: a model that rests would only make the load smaller.
    routing["health"]["breaker"] |= {"failure_ratio": 0.95, "consecutive_failures": 200}
    routing["retry"] |= {"base_delay_s": 0.02, "max_delay_s": 0.1, "budget_ratio": 1.0}
    _write(folder, "routing", routing)
    completions = _shipped("completions")
    completions |= {"stream_slice_tokens": slice_tokens, "abandoned_seconds": 3}
    _write(folder, "completions", completions)


def _models(upstream: str) -> dict[str, Any]:
    def model(name: str) -> dict[str, Any]:
        return {
            "id": name,
            "provider": "openai" if name.startswith("oa") else "anthropic",
            "prices": PRICES[name],
            "fallbacks": FALLBACKS.get(name, []),
        }

    return {
        "providers": [
            {
                "name": "openai",
                "kind": "openai",
                "base_url": f"{upstream}/v1",
                "dialects": ["openai.chat"],
                "continuous_usage": True,
            },
            {
                "name": "anthropic",
                "kind": "anthropic",
                "base_url": upstream,
                "dialects": ["anthropic.messages"],
            },
        ],
        "defaults": {
            "as_of": "2026-11-20",
            "price_source": "made up",
            "tokens_per_request": 4000,
            "context_tokens": 1_000_000,
            "output_tokens_limit": 100_000,
            "weight": 1,
            "tier": "mid",
            "region": "global",
            "auto": False,
            "quality": {"default": 0.5},
            "capabilities": [
                "chat", "streaming", "tools", "json_schema", "vision", "logprobs", "reasoning",
                "multiple_choices",
            ],
        },
        "models": [model(name) for name in PRICES],
    }  # fmt: skip


def _shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((SHIPPED / f"{name}.yaml").read_text("utf-8"))
    return content


def _write(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
