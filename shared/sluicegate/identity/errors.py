"""Why a credential was refused, for counting; callers see the message only."""

from sluicegate.kernel.errors import AuthenticationError


class RefusedCredentialError(AuthenticationError):
    """A credential was given and does not open the door.

    `reason` is one of a few fixed words. `guess` is True where the caller did not prove to know a
    secret: only those count against its address. `prefix` is the key prefix that was tried, if any, `tenant`
    and `key` whose and which key that is, `user` its owner where the secret was right.
    """

    def __init__(
        self, message: str, reason: str, *, guess: bool = True, prefix: str | None = None,
        tenant: str | None = None, key: str | None = None, user: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.reason = reason
        self.guess = guess
        self.prefix = prefix
        self.tenant = tenant
        self.key = key
        self.user = user
