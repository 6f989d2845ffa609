"""The reckoning: Redis, the ledger and the upstream's own account, held against each other."""

import sqlite3
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exactness_rig.policies import prices
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.kernel.models import Usage
from sluicegate.kernel.tenancy import redis_key

Produced = Mapping[str, Mapping[str, Mapping[str, int]]]
"""By tag, then model: requests, aborted, failures and tokens (`scripted.production.Totals`)."""


@dataclass(slots=True)
class Estimates:
    """Rows of one class whose cost is not the provider's own figure. Nano-dollars."""

    rows: int = 0
    charged: int = 0
    produced: int = 0
    exact: int = 0


@dataclass(slots=True)
class Reckoning:
    """All sums in nano-dollars.

    `wrong` are rows not flagged as estimated whose cost is not what was produced. `unrecorded` is what was
    produced for requests without a row: their owners were killed. `reaped` is what stands in for it.
    """

    committed: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=dict)
    ledger: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    charged: int = 0
    produced: int = 0
    certain_rows: int = 0
    certain: int = 0
    wrong: list[str] = field(default_factory=list)
    wrong_nano: int = 0
    estimates: dict[str, Estimates] = field(default_factory=dict)
    unrecorded: int = 0
    unrecorded_tags: int = 0
    unrecorded_examples: list[str] = field(default_factory=list)
    reaped: int = 0
    reaped_rows: int = 0
    twice: list[str] = field(default_factory=list)
    holds: int = 0
    due: int = 0
    outbox: int = 0
    dead: list[str] = field(default_factory=list)

    @property
    def unequal(self) -> list[str]:
        """Counters whose committed, settled and ledger amounts are not one."""
        return [
            f"{name}: committed {self.committed[name]}, settled {settled}, ledger {self.ledger[name]}"
            for name, settled in self.settled.items()
            if not settled == self.committed[name] == self.ledger[name]
        ]


async def reckon(client: RedisClient, tenant: str, database: Path, produced: Produced) -> Reckoning:
    """Hold everything against everything. Call it when no request is under way."""
    result = Reckoning()
    flat = await client.execute("HGETALL", redis_key(tenant, "counters"))
    counters = dict(zip(flat[::2], flat[1::2], strict=True))
    rows = read_rows(database, tenant)
    result.dead = _read_dead(database.with_name("bus.db"))
    for name, value in counters.items():
        if name.startswith(b"cn|"):
            key = name[3:].decode()
            result.committed[key] = int(value)
            result.settled[key] = int(counters.get(b"sn|" + name[3:], 0))
            scope, who, *_ = key.split("|")
            column = "tenant" if scope == "tenant" else scope
            result.ledger[key] = sum(row["cost_nano"] for row in rows if row[column] == who)
    result.holds = await client.execute("HLEN", redis_key(tenant, "holds"))
    result.due = await client.execute("ZCARD", redis_key(tenant, "due"))
    result.outbox = await client.execute("XLEN", redis_key(tenant, "outbox"))
    _compare(result, rows, produced)
    return result


def read_rows(database: Path, tenant: str) -> list[dict[str, Any]]:
    """The tenant's usage rows."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        found = connection.execute("SELECT * FROM usage_rows WHERE tenant = ?", (tenant,)).fetchall()
        return [dict(row) for row in found]
    finally:
        connection.close()


def _read_dead(bus: Path) -> list[str]:
    """Events that could not be applied, and why."""
    connection = sqlite3.connect(f"file:{bus}?mode=ro", uri=True)
    try:
        found = connection.execute("SELECT reason, body FROM dead_letters LIMIT 20").fetchall()
        return [f"{reason}: {body[:400]!r}" for reason, body in found]
    finally:
        connection.close()


def _compare(result: Reckoning, rows: list[dict[str, Any]], produced: Produced) -> None:
    result.rows = len(rows)
    result.charged = sum(row["cost_nano"] for row in rows)
    truth = {tag: cost_of(models) for tag, models in produced.items()}
    result.produced = sum(truth.values())
    seen: dict[str, int] = defaultdict(int)
    for row in rows:
        cost, tag = row["cost_nano"], row["task"]
        if row["reaped"]:
            result.reaped_rows += 1
            result.reaped += cost
            continue
        seen[tag] += 1
        real = truth.get(tag, 0)
        if row["estimated"]:
            how = "stream" if row["streamed"] else "whole"
            name = f"{how}, {row['provider']}, {row['outcome']}, {row['error'] or 'no error'}"
            if row["attempts"] > 1:
                name += ", tried again"
            kind = result.estimates.setdefault(name, Estimates())
            kind.rows += 1
            kind.charged += cost
            kind.produced += real
            kind.exact += cost == real
        else:
            result.certain_rows += 1
            result.certain += cost
            if cost != real:
                result.wrong_nano += cost - real
                if len(result.wrong) < 20:
                    shown = {key: row[key] for key in ("outcome", "error", "streamed", "attempts", "model")}
                    result.wrong.append(f"{tag}: charged {cost}, produced {real} {shown} {produced.get(tag)}")
    result.twice = [tag for tag, count in seen.items() if count > 1]
    lost = {tag: real for tag, real in truth.items() if real and tag not in seen}
    result.unrecorded = sum(lost.values())
    result.unrecorded_tags = len(lost)
    result.unrecorded_examples = [f"{tag}: {real} {produced[tag]}" for tag, real in list(lost.items())[:5]]


def cost_of(models: Mapping[str, Mapping[str, int]]) -> int:
    """What the upstream's account of one request costs, each model's tries together."""
    return sum(
        prices(model).cost(
            Usage(
                input_tokens=totals["input_tokens"],
                cached_input_tokens=totals["cached_input_tokens"],
                cache_write_tokens=totals["cache_write_tokens"],
                output_tokens=totals["output_tokens"],
            )
        )
        for model, totals in models.items()
        if totals["requests"]
    )
