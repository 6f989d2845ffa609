"""Files that hold one secret of 32 bytes each: made when first needed, readable by their owner only."""

import os
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from pathlib import Path

from sluicegate.kernel.errors import ConfigurationError

SIZE = 32


def read_or_make(path: Path) -> bytes:
    """The secret in `path`; a new one where there is no file. Of several processes, all get the same.

    Raises:
        ConfigurationError: the file cannot be read or made, others may read it, or it has something else.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _make(path)
        mode = path.stat().st_mode & 0o077
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: the key cannot be read: {error}") from error
    if mode:
        raise ConfigurationError(
            f"{path}: others may read this key; run chmod 600 on it, and consider it known"
        )
    try:
        secret = b64decode(text, validate=True)
    except Base64Error:
        secret = b""
    if len(secret) != SIZE:
        raise ConfigurationError(f"{path}: not a key of {SIZE} bytes in base64; put the right file back")
    return secret


def _make(path: Path) -> None:
    aside = path.with_name(f".{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    number = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(b64encode(os.urandom(SIZE)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, not a rename: whoever is second must not replace the first one's key.
            path.hardlink_to(aside)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        aside.unlink(missing_ok=True)
