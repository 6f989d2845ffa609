"""Clients that leave: no new try is made for them, and a provider that is silent is not waited for."""

import asyncio

from sluicegate.kernel.errors import SluicegateError


class ClientLeftError(SluicegateError):
    """The client left before its request was sent to a provider (again). There is nobody to tell."""

    status = 499
    code = "client_left"
    kind = "invalid_request_error"

    def __init__(self) -> None:
        super().__init__("the client closed its connection")


class Departure:
    """Whether a request's client has left. Made in the task that runs the request, and used in it alone.

    While that task waits for a provider it says so (`wait`, `waiting`): then a client's leaving leaves
    it `patience_s` seconds, after which it is cancelled there. Nothing else is ever interrupted.
    """

    __slots__ = ("_loop", "_patience_s", "_task", "cut", "gone_at", "waiting")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._patience_s: float | None = None
        self.gone_at: float | None = None
        self.waiting = False
        self.cut = False

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return self.gone_at is not None

    def check(self) -> None:
        """Go on only for somebody.

        Raises:
            ClientLeftError: the client has left.
        """
        if self.gone_at is not None:
            raise ClientLeftError

    def leave(self) -> None:
        """The client has left. Called once, by whoever sees it."""
        self.gone_at = self._loop.time()
        if self._patience_s is not None:
            self._loop.call_later(self._patience_s, self._cut)

    def wait(self, patience_s: float) -> None:
        """What follows waits for a provider, until `waiting` is set to False.

        Other tasks than the request's own (a hedge's) are not interrupted.
        """
        if asyncio.current_task() is not self._task:
            return
        self.waiting = True
        if self._patience_s is None:
            self._patience_s = patience_s
            if self.gone_at is not None:
                self._loop.call_later(self.left_s(patience_s), self._cut)

    def left_s(self, patience_s: float) -> float:
        """How much is left now of `patience_s` seconds from the leaving on; all of it before that."""
        if self.gone_at is None:
            return patience_s
        return max(0.0, self.gone_at + patience_s - self._loop.time())

    def _cut(self) -> None:
        if self.waiting and self._task is not None:
            self.cut = True
            self._task.cancel()
