"""Keeping a stream's events until it has ended, within a bound."""


class EventCollector:
    """Keeps the bytes of whole events, at most `limit` in all; past that it forgets everything."""

    __slots__ = ("_kept", "_left")

    def __init__(self, limit: int) -> None:
        self._kept: list[bytes] = []
        self._left = limit

    def feed(self, events: bytes) -> None:
        self._left -= len(events)
        if self._left >= 0:
            self._kept.append(events)
        elif self._kept:
            self._kept.clear()

    def events(self) -> list[bytes]:
        """The events one by one, none if there were too many."""
        return [event for event in b"".join(self._kept).split(b"\n\n") if event] if self._left >= 0 else []
