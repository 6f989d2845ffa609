"""Clients: each asks, waits where it is told to, shrinks when money is short, stops when there is none."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from exactness_rig.asks import Mix, Request, any_request, smallest
from exactness_rig.calls import Line, Reply
from exactness_rig.estate import Key

_LONGEST_WAIT_S = 1.0
_PATIENCE = 60


@dataclass(slots=True)
class Seen:
    """What clients met. `statuses` by kind of request; `codes` of errors; `bad`: what should not be."""

    calls: int = 0
    left: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    stopped: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    unavailable_s: list[float] = field(default_factory=list)


class Client:
    """One client with one key, spread over the gateways.

    Args:
        number: makes its tags its own.
        deadline: when to stop in any case, on the loop's clock.
    """

    def __init__(
        self, number: int, key: Key, ports: Sequence[int], mix: Mix, seen: Seen, deadline: float, seed: int
    ) -> None:
        self._number = number
        self._key = key
        self._lines = [Line(port) for port in ports]
        self._mix = mix
        self._seen = seen
        self._deadline = deadline
        self._rng = random.Random(seed * 100_003 + number)
        self._asked = 0

    async def run(self) -> None:
        """Ask until the budget is used up."""
        small = False
        patience = _PATIENCE
        loop = asyncio.get_running_loop()
        why = "time"
        while loop.time() < self._deadline:
            tag = f"t-{self._number}-{self._asked}"
            self._asked += 1
            request = smallest(self._rng, tag) if small else any_request(self._rng, tag, self._mix)
            begun = loop.time()
            reply = await self._send(request)
            self._note(request, reply, loop.time() - begun)
            if reply.status == 402:
                if small:
                    why = "402"
                    break
                small = True
            elif reply.status in {429, 503}:
                patience -= 1
                if not patience:
                    why = "patience"
                    break
                wait = float(reply.headers.get(b"retry-after", b"1"))
                await asyncio.sleep(min(wait, _LONGEST_WAIT_S) * self._rng.uniform(0.2, 1.0))
            elif not reply.status and not reply.left:
                await asyncio.sleep(0.05)
            else:
                patience = _PATIENCE
        self._seen.stopped[why] += 1
        for line in self._lines:
            line.hang_up()

    async def _send(self, request: Request) -> Reply:
        headers = {"content-type": "application/json", "x-sluicegate-task": request.tag}
        if request.path.endswith("messages"):
            headers |= {"x-api-key": self._key.text, "anthropic-version": "2023-06-01"}
        else:
            headers["authorization"] = f"Bearer {self._key.text}"
        line = self._rng.choice(self._lines)
        return await line.post(request.path, headers, request.body, request.leaving)

    def _note(self, request: Request, reply: Reply, took_s: float) -> None:
        seen = self._seen
        seen.calls += 1
        seen.left += reply.left
        if reply.hung:
            seen.bad.append(f"{request.kind} {request.tag}: no end within {took_s:.0f} s")
        seen.statuses[f"{request.kind} {reply.status}"] += 1
        if reply.status == 200:
            seen.endings[f"{request.kind} {_ending(reply)}"] += 1
        elif reply.status:
            found = re.search(rb'"code":"(\w+)"', reply.body) or re.search(
                rb'"type":"(\w+_error)"', reply.body
            )
            seen.codes[f"{reply.status} {found[1].decode() if found else '?'}"] += 1
            if reply.status in {400, 401, 403, 404, 409, 500} and request.kind != "error":
                seen.bad.append(f"{request.kind} {reply.status} {reply.body[:300]!r}")
            if reply.status == 503:
                seen.unavailable_s.append(took_s)
                if b"retry-after" not in reply.headers:
                    seen.bad.append(f"503 without retry-after {reply.body[:200]!r}")


def _ending(reply: Reply) -> str:
    if reply.left:
        return "left"
    if not reply.whole:
        return "broken"
    if reply.headers.get(b"content-type", b"").startswith(b"application/json"):
        return "whole"
    tail = reply.body[-2_000:]
    if b'"error"' in tail or b"event: error" in tail:
        return "error event"
    return "ended" if tail.endswith((b"[DONE]\n\n", b'"message_stop"}\n\n')) else "cut"


async def run_clients(
    keys: Sequence[Key],
    shares: Sequence[int],
    ports: Sequence[int],
    mix: Mix,
    *,
    seconds: float,
    seed: int = 1,
) -> Seen:
    """`shares[i]` clients with `keys[i]` each, all at once; what they saw."""
    seen = Seen()
    deadline = asyncio.get_running_loop().time() + seconds
    crowd = [key for key, share in zip(keys, shares, strict=True) for _ in range(share)]
    clients = [Client(number, key, ports, mix, seen, deadline, seed) for number, key in enumerate(crowd)]
    await asyncio.gather(*(client.run() for client in clients))
    return seen
