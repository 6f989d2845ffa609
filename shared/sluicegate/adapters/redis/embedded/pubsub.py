"""Who listens to which channel."""

from typing import Protocol


class Receiver(Protocol):
    """A client that can be sent messages."""

    def deliver(self, channel: bytes, payload: bytes) -> None: ...


class Channels:
    """The channels of the server."""

    def __init__(self) -> None:
        self._receivers: dict[bytes, dict[Receiver, None]] = {}

    def join(self, channel: bytes, receiver: Receiver) -> None:
        """Let `receiver` hear `channel`."""
        self._receivers.setdefault(channel, {})[receiver] = None

    def leave(self, channel: bytes, receiver: Receiver) -> None:
        """The reverse; harmless when it never joined."""
        receivers = self._receivers.get(channel)
        if receivers is not None:
            receivers.pop(receiver, None)
            if not receivers:
                del self._receivers[channel]

    def publish(self, channel: bytes, payload: bytes) -> int:
        """Deliver to everyone on `channel`; how many that were."""
        receivers = list(self._receivers.get(channel, ()))
        for receiver in receivers:
            receiver.deliver(channel, payload)
        return len(receivers)
