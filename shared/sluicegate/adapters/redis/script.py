"""Lua scripts as package data, named by the SHA-1 that Redis knows them by."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "scripts"


@dataclass(frozen=True, slots=True)
class Script:
    """One Lua script. `sha` is the lower-case SHA-1 of `source`, as `SCRIPT LOAD` returns it."""

    name: str
    source: bytes
    sha: bytes

    @classmethod
    def of(cls, name: str, source: str | bytes) -> "Script":
        """The script with this text."""
        text = source.encode() if isinstance(source, str) else source
        # SHA-1 is Redis' name for a script, not a safeguard.
        return cls(name, text, hashlib.sha1(text, usedforsecurity=False).hexdigest().encode())

    def __repr__(self) -> str:
        return f"Script({self.name!r}, sha={self.sha.decode()})"


@cache
def load_script(name: str) -> Script:
    """The shipped script `scripts/<name>.lua`, read once per process.

    Raises:
        FileNotFoundError: no such script is shipped.
    """
    return Script.of(name, (_FOLDER / f"{name}.lua").read_bytes())
