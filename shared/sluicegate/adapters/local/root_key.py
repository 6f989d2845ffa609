"""The root of all data keys in a file: what Cloud KMS is elsewhere. Who has it can read what it protects."""

import asyncio
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sluicegate.adapters.local.key_files import read_or_make
from sluicegate.audit.errors import UnreadableError

_NONCE_SIZE = 12


class FileRootKey:
    """`audit.ports.KeyWrapper` by AES-256-GCM under a key in a file, which is made on first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._cipher: AESGCM | None = None

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        cipher = await self._key()
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + cipher.encrypt(nonce, key, context)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        cipher = await self._key()
        try:
            return cipher.decrypt(wrapped[:_NONCE_SIZE], wrapped[_NONCE_SIZE:], context)
        except (InvalidTag, ValueError) as error:
            raise UnreadableError(
                f"A tenant's key does not unwrap with {self._path.name}: is it the file that wrapped it?"
            ) from error

    async def _key(self) -> AESGCM:
        if self._cipher is None:
            self._cipher = AESGCM(await asyncio.to_thread(read_or_make, self._path))
        return self._cipher
