"""Ed25519 keys in files: what signs entries and checkpoints where there is no Cloud KMS."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from sluicegate.adapters.local.key_files import read_or_make


class FileSigningKey:
    """`audit.keys.Signer` by a key in a file, which is made on first use."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: Ed25519PrivateKey | None = None
        self._public: bytes | None = None

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self._public is None:
            self._public = self._private().public_key().public_bytes_raw()
        return self._public

    async def sign(self, message: bytes) -> bytes:
        return self._private().sign(message)

    def _private(self) -> Ed25519PrivateKey:
        if self._key is None:
            self._key = Ed25519PrivateKey.from_private_bytes(read_or_make(self._path))
        return self._key
