"""Sign-ins as the transparency log hears of them: each new token once, failures by source and minute.

Nothing here waits: events go to a bounded queue, and a task of its own tells them to the bus. Calls with an
API key that succeed are not told, for each of them is an entry (`model.access`) anyway.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from sluicegate.identity.attempts import FailedAttempt, SignIn
from sluicegate.identity.policy import SignInLogPolicy
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.events import Event, EventPublisher
from sluicegate.kernel.governed import SIGN_IN_FAILED, SIGN_IN_SUCCEEDED, SIGN_IN_UNLOGGED, governed_action

SOURCE = "/sluicegate/identity"

_log = logging.getLogger(__name__)

_BATCH = 100
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 10.0
_UNKNOWN = "unknown"
_NOT_REFUSED = frozenset({"missing"})  # nothing was tried

_Bucket = tuple[str, str, str | None, str | None]
"""Failures that become one entry: source, tenant, key, and who proved to be its owner."""

_ELSEWHERE = FailedAttempt("many", "", "")


@dataclass(slots=True)
class _Failures:
    """Failures not told yet. Times in epoch seconds."""

    example: FailedAttempt
    since: float = 0.0
    until: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, reason: str, at: float) -> None:
        if not self.reasons:
            self.since = at
        self.until = at
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class SignInLog:
    """Tells of sign-ins. Of a source's failures the first is told at once, the rest of the window together.

    So a source makes two entries per window at most, and `policy.sources` bounds the sources: what comes from
    further ones becomes entries that name none.

    Args:
        tenant: whose part of the log has attempts that nobody's key was used for.
    """

    def __init__(self, events: EventPublisher, policy: SignInLogPolicy, clock: Clock, tenant: str) -> None:
        self._events = events
        self._policy = policy
        self._clock = clock
        self._tenant = tenant
        self._queue: deque[Event] = deque()
        self._failures: dict[_Bucket, _Failures] = {}
        self._window_ends = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.unlogged = 0

    def signed_in(self, sign_in: SignIn) -> None:
        """A token was accepted that this instance does not remember. Told twice it is still one entry."""
        principal = sign_in.principal
        ends = principal.expires_at
        self._put(
            governed_action(
                principal.tenant,
                SIGN_IN_SUCCEEDED,
                source=SOURCE,
                at=self._clock.now(),
                user=principal.user,
                workspace=principal.workspace,
                payload={
                    "key": principal.key_id,
                    "method": principal.method,
                    "roles": sorted(principal.roles),
                    "expires_at": None if ends is None else round(ends),
                },
                ip=sign_in.client or None,
                user_agent=sign_in.user_agent,
                event_id=f"{SIGN_IN_SUCCEEDED}:{sign_in.digest.hex()}",
            )
        )

    def failed(self, attempt: FailedAttempt) -> None:
        """A credential was refused."""
        if attempt.reason in _NOT_REFUSED:
            return
        self._end_window()
        bucket = (attempt.source, attempt.tenant or self._tenant, attempt.key, attempt.user)
        failures = self._failures.get(bucket)
        if failures is None and len(self._failures) >= self._policy.sources:
            bucket = ("", self._tenant, None, None)
            failures = self._failures.get(bucket)
            first = _ELSEWHERE
        else:
            first = attempt
        if failures is not None:
            failures.add(attempt.reason, self._clock.now())
            return
        if not self._failures:
            self._window_ends = self._clock.monotonic() + self._policy.window_s
        self._failures[bucket] = _Failures(first)
        at_once = _Failures(first)
        at_once.add(attempt.reason, self._clock.now())
        self._put(self._event(bucket, at_once))

    def start(self) -> None:
        """Begin to tell, in the background."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sign-ins to the log")

    async def stop(self, within_s: float = 2.0) -> None:
        """Tell what there is, unless that takes longer than `within_s`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._close_window()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._tell_all()
        if self._queue:
            _log.error("sign-ins could not be told to the log", extra={"events": len(self._queue)})

    async def flush(self) -> None:
        """Tell what is due now.

        Raises:
            DependencyUnavailableError: the bus is away; what was not told waits.
        """
        self._end_window()
        while self._queue:
            batch = [self._queue[place] for place in range(min(len(self._queue), _BATCH))]
            await self._events.publish(batch)
            for _ in batch:
                self._queue.popleft()
            if self.unlogged:
                lost, self.unlogged = self.unlogged, 0
                self._put(self._lost(lost))

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._policy.window_s):
                    await self._wake.wait()
            self._wake.clear()
            await self._tell_all()

    async def _tell_all(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                await self.flush()
            except SluicegateError as error:
                _log.warning("sign-ins wait to be told to the log: %s", error.message)
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            except Exception:  # noqa: BLE001 - logged, counted, and told as `sign_in.unlogged`
                # A fault of ours must not end the task; one event at a time is given up for it.
                _log.exception("a sign-in cannot be told to the log")
                if self._queue:
                    self._queue.popleft()
                    self.unlogged += 1
            else:
                return

    def _put(self, event: Event) -> None:
        if len(self._queue) >= self._policy.queue:
            if not self.unlogged:
                _log.error("too many sign-ins wait to be told to the log: the next ones are only counted")
            self.unlogged += 1
            return
        self._queue.append(event)
        self._wake.set()

    def _end_window(self) -> None:
        if self._failures and self._clock.monotonic() >= self._window_ends:
            self._close_window()

    def _close_window(self) -> None:
        ended, self._failures = self._failures, {}
        for bucket, failures in ended.items():
            if failures.reasons:
                self._put(self._event(bucket, failures))

    def _event(self, bucket: _Bucket, failures: _Failures) -> Event:
        attempt, reasons = failures.example, failures.reasons
        return governed_action(
            bucket[1],
            SIGN_IN_FAILED,
            source=SOURCE,
            at=failures.until,
            user=attempt.user or _UNKNOWN,
            result="failure",
            payload={
                "count": sum(reasons.values()),
                "reasons": reasons,
                "key": bucket[2],
                "since": round(failures.since),
                "until": round(failures.until),
            },
            reason=", ".join(_by_number(reasons)),
            ip=attempt.client or None,
            user_agent=attempt.user_agent,
        )

    def _lost(self, count: int) -> Event:
        return governed_action(
            self._tenant,
            SIGN_IN_UNLOGGED,
            source=SOURCE,
            at=self._clock.now(),
            result="failure",
            payload={"count": count},
            reason="the bus was away for too long",
        )


def _by_number(reasons: dict[str, int]) -> Sequence[str]:
    return sorted(reasons, key=lambda reason: (-reasons[reason], reason))
