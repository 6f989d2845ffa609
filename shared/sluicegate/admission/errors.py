"""Errors between admission and its store."""


class StoreUnavailable(Exception):  # noqa: N818 - a state of a dependency, turned into policy by the service
    """The admission store cannot be asked. `maybe_applied`: the request may have been applied."""

    def __init__(self, reason: str, *, maybe_applied: bool, retry_after: float = 1.0) -> None:
        super().__init__(reason)
        self.maybe_applied = maybe_applied
        self.retry_after = retry_after
