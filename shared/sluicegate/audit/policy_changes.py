"""Policy changes: which policies were in force since when, as entries of the log."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.events import Event, EventPublisher
from sluicegate.kernel.governed import POLICY_CHANGED, governed_action

SOURCE = "/sluicegate/policies"


class PolicyRecord(Protocol):
    """Keeps what was told last, as bytes. Raises DependencyUnavailableError while it cannot be reached."""

    async def read(self) -> bytes | None:
        """What was written last; None where nothing was."""
        ...

    async def write(self, content: bytes) -> None:
        """Keep `content` in the place of what was there; lasting when this returns."""
        ...


@dataclass(frozen=True, slots=True)
class PoliciesInForce:
    """The policies of a process: their version, and the SHA-256 of each file by its name."""

    version: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told last. `number` counts the changes."""

    number: int = 0
    version: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)


class PolicyChanges:
    """Tells the log when a process starts with other policies than were told last.

    Args:
        tenant: whose part of the log it belongs to: policies are everybody's.
    """

    def __init__(self, record: PolicyRecord, events: EventPublisher, clock: Clock, tenant: str) -> None:
        self._record = record
        self._events = events
        self._clock = clock
        self._tenant = tenant

    async def tell(self, now: PoliciesInForce) -> bool:
        """Tell the log if `now` is new; whether it was.

        Several processes that start at once tell one change, and so does one that dies before it kept that it
        told: the change's number makes the event's id.

        Raises:
            DependencyUnavailableError: the bus or the record is away. Policies that nobody heard of must not
                come into force, so the process should not start.
            ConfigurationError: the record is not one.
        """
        told = _decode(await self._record.read())
        if told.version == now.version:
            return False
        await self._events.publish([self._event(told, now)])
        kept = _Told(told.number + 1, now.version, dict(now.files))
        await self._record.write(json.dumps(asdict(kept), indent=1).encode() + b"\n")
        return True

    def _event(self, told: _Told, now: PoliciesInForce) -> Event:
        names = sorted({*told.files, *now.files})
        changed = [
            {"file": name, "before": told.files.get(name), "after": now.files.get(name)}
            for name in names
            if told.files.get(name) != now.files.get(name)
        ]
        return governed_action(
            self._tenant,
            POLICY_CHANGED,
            source=SOURCE,
            at=self._clock.now(),
            payload={"before": told.version, "after": now.version, "files": changed},
            event_id=f"{POLICY_CHANGED}:{told.number + 1}:{now.version}",
        )


def _decode(content: bytes | None) -> _Told:
    if content is None:
        return _Told()
    try:
        found: dict[str, Any] = json.loads(content)
        return _Told(int(found["number"]), str(found["version"]), dict(found["files"]))
    except (ValueError, TypeError, KeyError):
        raise ConfigurationError(
            "the record of the policies told last is damaged: put it back, or delete it to tell the log anew"
        ) from None
