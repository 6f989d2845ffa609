"""Lua scripts as package data, named by the SHA-1 that Redis knows them by."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "scripts"
# Lua in Redis has no `require`: a line `-- @include NAME` stands for scripts/fragments/NAME.lua.
_INCLUDE = re.compile(rb"^-- @include (\w+)$", re.MULTILINE)


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
    """The shipped script `scripts/<name>.lua` with the fragments it includes, read once per process.

    Raises:
        FileNotFoundError: no such script, or fragment, is shipped.
    """
    return Script.of(name, _INCLUDE.sub(_fragment, (_FOLDER / f"{name}.lua").read_bytes()))


def _fragment(include: re.Match[bytes]) -> bytes:
    return (_FOLDER / "fragments" / f"{include[1].decode()}.lua").read_bytes()
