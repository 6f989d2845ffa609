"""Keys in Cloud KMS, which never leave it: Ed25519 for signing, AES for wrapping other keys."""

from sluicegate.adapters.gcp.checksums import check, crc32c, demand
from sluicegate.adapters.gcp.clients import KEYS, GoogleClients
from sluicegate.adapters.gcp.errors import RefusedArgumentError
from sluicegate.audit.errors import SigningError, UnreadableError
from sluicegate.audit.keys import SIGNATURE_SIZE, ed25519_verifies
from sluicegate.kernel.errors import ConfigurationError

ALGORITHM = "EC_SIGN_ED25519"

_NAME = "Cloud KMS"


class KmsSigner:
    """`audit.keys.Signer` by an asymmetric key of algorithm EC_SIGN_ED25519 (PureEdDSA, RFC 8032).

    Args:
        version: `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/…`.
        public_key: its 32 bytes, where they are known; else `load` asks for them.
    """

    def __init__(self, clients: GoogleClients, version: str, public_key: bytes | None = None) -> None:
        self._clients = clients
        self._version = version
        self._public = public_key

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key.

        Raises:
            ConfigurationError: it was neither given nor loaded.
        """
        if self._public is None:
            raise ConfigurationError(f"the public half of {self._version} is not loaded yet")
        return self._public

    async def load(self) -> bytes:
        """Ask for the public key, once, and verify its algorithm; its 32 bytes.

        Raises:
            ConfigurationError: the key is of another algorithm.
            GoogleError: Cloud KMS cannot be asked.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

        if self._public is None:
            answer = await self._clients.call(KEYS, "get_public_key", {"name": self._version})
            demand(_NAME, "the key's name", verified=answer.name == self._version)
            pem = check(_NAME, answer.pem.encode(), answer.pem_crc32c)
            key = load_pem_public_key(pem)
            if answer.algorithm.name != ALGORITHM or not isinstance(key, Ed25519PublicKey):
                raise ConfigurationError(
                    f"{self._version} is a key of {answer.algorithm.name}; the log needs {ALGORITHM}"
                )
            self._public = key.public_bytes_raw()
        return self._public

    async def sign(self, message: bytes) -> bytes:
        """As the port says.

        Raises:
            SigningError: the signature is not one of this key.
            GoogleError: Cloud KMS cannot be asked.
        """
        public_key = await self.load()
        request = {"name": self._version, "data": message, "data_crc32c": crc32c(message)}
        answer = await self._clients.call(KEYS, "asymmetric_sign", request)
        demand(_NAME, "what is to be signed", verified=answer.verified_data_crc32c)
        demand(_NAME, "the key's name", verified=answer.name == self._version)
        signature = check(_NAME, bytes(answer.signature), answer.signature_crc32c)
        if len(signature) != SIGNATURE_SIZE or not ed25519_verifies(public_key, message, signature):
            raise SigningError("Cloud KMS gave a signature that does not verify")
        return signature


class KmsKeyWrapper:
    """`audit.ports.KeyWrapper` by a symmetric key.

    Args:
        key: `projects/…/locations/…/keyRings/…/cryptoKeys/…`; its primary version wraps, any unwraps.
    """

    def __init__(self, clients: GoogleClients, key: str) -> None:
        self._clients = clients
        self._key = key

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        request = {
            "name": self._key,
            "plaintext": key,
            "plaintext_crc32c": crc32c(key),
            "additional_authenticated_data": context,
            "additional_authenticated_data_crc32c": crc32c(context),
        }
        answer = await self._clients.call(KEYS, "encrypt", request)
        verified = answer.verified_plaintext_crc32c and answer.verified_additional_authenticated_data_crc32c
        demand(_NAME, "what is to be wrapped", verified=verified)
        demand(_NAME, "the key's name", verified=answer.name.startswith(f"{self._key}/cryptoKeyVersions/"))
        return check(_NAME, bytes(answer.ciphertext), answer.ciphertext_crc32c)

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        request = {
            "name": self._key,
            "ciphertext": wrapped,
            "ciphertext_crc32c": crc32c(wrapped),
            "additional_authenticated_data": context,
            "additional_authenticated_data_crc32c": crc32c(context),
        }
        try:
            answer = await self._clients.call(KEYS, "decrypt", request)
        except RefusedArgumentError as error:
            raise UnreadableError(
                f"A tenant's key does not unwrap with {self._key.rpartition('/')[2]}: "
                "is it the key that wrapped it?"
            ) from error
        return check(_NAME, bytes(answer.plaintext), answer.plaintext_crc32c)
