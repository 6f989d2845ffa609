"""Why a credential was refused, for counting; callers see the message only."""

from sluicegate.kernel.errors import AuthenticationError


class RefusedCredentialError(AuthenticationError):
    """A credential was given and does not open the door.

    `reason` is one of a few fixed words. `guess` is True where the caller did not prove to know a
    secret: only those count against its address. `prefix` is the key prefix that was tried, if any.
    """

    def __init__(self, message: str, reason: str, *, guess: bool = True, prefix: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.guess = guess
        self.prefix = prefix
