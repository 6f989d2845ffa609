"""Secrets that change while a process runs: keys and passwords with versions."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import SecretStr


class SecretSource(Protocol):
    """Gives secrets by the name of their variable (`OPENAI_API_KEY`). Cheap enough to ask for every request.

    All raise DependencyUnavailableError while there is none to give because the source is away.
    """

    async def value(self, name: str) -> SecretStr | None:
        """The newest version; None where there is none."""
        ...

    async def values(self, name: str) -> Sequence[SecretStr]:
        """All versions that are still good, newest first: what is accepted while callers change over."""
        ...

    async def refused(self, name: str, value: SecretStr) -> SecretStr | None:
        """Somebody did not take `value`: another one to try at once; None where there is no newer one."""
        ...
