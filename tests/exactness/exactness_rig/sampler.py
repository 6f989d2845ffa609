"""Watches the counters: `python -m exactness_rig.sampler REDIS_URL LIMITS_JSON REPORT`, until SIGTERM.

About a hundred times a second one script reads, in one atomic step, every counter, what the open holds add
up to, and the oldest deadline. At every sample, for each money and token counter:
committed = settled + held, and committed <= limit.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.errors import RedisUnavailable
from sluicegate.kernel.tenancy import redis_key

EVERY_S = 0.01

# The record of a hold is described in admission_settle.lua; a lease's (admission_lease.lua) also tells how
# many requests it is for.
SCRIPT = """
local held, names = {}, {}
local function add(field, amount)
  if not held[field] then names[#names + 1] = field end
  held[field] = (held[field] or 0) + amount
end
local open = redis.call('HVALS', KEYS[2])
local requests, leases = 0, 0
for _, record in ipairs(open) do
  local at = string.find(record, '\\n', 1, true)
  local first = string.sub(record, 1, at - 1)
  local nano, tokens, m, t, s, slots = string.match(first, '^(%d+) (%d+) %d+ (%d+) (%d+) (%d+) ?(%d*)')
  if slots ~= '' then leases = leases + 1 end
  m, t, slots = tonumber(m), tonumber(t), tonumber(slots) or 1
  requests = requests + slots
  for i = 1, m + t do
    for part = 1, i <= m and 3 or 2 do
      local from = at + 1
      at = string.find(record, '\\n', from, true)
      if part == 1 then add(string.sub(record, from, at - 1), tonumber(i <= m and nano or tokens)) end
    end
  end
  for _ = 1, tonumber(s) do
    local from = at + 1
    at = string.find(record, '\\n', from, true)
    add(string.sub(record, from, at - 1), slots)
  end
end
local sums = {}
for i, name in ipairs(names) do sums[2 * i - 1], sums[2 * i] = name, string.format('%.0f', held[name]) end
local time = redis.call('TIME')
local oldest = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {redis.call('HGETALL', KEYS[1]), sums, requests, oldest[2] or '', now, leases}
"""


@dataclass(slots=True)
class Report:
    """What was seen. `peak` is the highest committed amount per counter, `late_ms` the longest overdue."""

    samples: int = 0
    unanswered: int = 0
    over_limit: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    peak: dict[str, int] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    most_holds: int = 0
    most_leases: int = 0
    late_ms: float = 0.0
    losses: int = 0
    seconds: float = 0.0


class Sampler:
    """Takes samples. `limits` maps patterns of counters (`cn|workspace|*`) to their limit."""

    def __init__(self, client: RedisClient, tenant: str, limits: dict[str, int]) -> None:
        self._client = client
        self._keys = [redis_key(tenant, kind) for kind in ("counters", "holds", "due")]
        self._limits = limits
        self._generation = b""
        self.report = Report()

    async def sample(self) -> None:
        report = self.report
        try:
            flat, sums, count, oldest, now, leases = await self._client.execute(
                "EVAL", SCRIPT, 3, *self._keys
            )
        except RedisUnavailable:
            report.unanswered += 1
            return
        report.samples += 1
        report.most_holds = max(report.most_holds, count)
        report.most_leases = max(report.most_leases, leases)
        if oldest:
            report.late_ms = max(report.late_ms, now - float(oldest))
        counters = dict(zip(flat[::2], flat[1::2], strict=True))
        held = Counter(dict(zip(sums[::2], map(int, sums[1::2]), strict=True)))
        generation = counters.get(b"generation", b"")
        if generation != self._generation:
            report.losses += bool(self._generation)
            self._generation = generation
        for name, value in counters.items():
            if not name.startswith((b"cn|", b"ct|", b"o|")):
                continue
            committed, settled = int(value), int(counters.get(b"s" + name[1:], 0))
            text = name.decode()
            if committed != settled + held[name]:
                self._note(report.unequal, f"{text}: {committed} != {settled} + {held[name]}")
            limit = self._limit(text)
            report.peak[text] = max(report.peak.get(text, 0), committed)
            if limit is not None and committed > limit:
                self._note(report.over_limit, f"{text}: {settled} + {held[name]} > {limit}")

    def _limit(self, name: str) -> int | None:
        known = self.report.limits.get(name)
        if known is None:
            for pattern, limit in self._limits.items():
                if fnmatchcase(name, pattern):
                    self.report.limits[name] = known = limit
                    break
        return known

    @staticmethod
    def _note(notes: list[str], text: str) -> None:
        if len(notes) < 50:
            notes.append(text)


async def _watch(url: str, tenant: str, limits: dict[str, int], report: Path) -> None:
    client = RedisClient.from_url(url, connections=1, timeout_s=1.0)
    sampler = Sampler(client, tenant, limits)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write("watching\n")
    sys.stdout.flush()
    begun = time.monotonic()
    while not stop.is_set():
        next_at = time.monotonic() + EVERY_S
        await sampler.sample()
        await asyncio.sleep(max(0.0, next_at - time.monotonic()))
    sampler.report.seconds = time.monotonic() - begun
    await client.close()
    content: dict[str, Any] = asdict(sampler.report)
    await asyncio.to_thread(report.write_text, json.dumps(content), "utf-8")


if __name__ == "__main__":
    asyncio.run(_watch(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), Path(sys.argv[4])))
