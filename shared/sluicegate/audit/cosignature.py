"""Cosignatures: a witness's word that a checkpoint grew out of the earlier ones (C2SP tlog-cosignature)."""

from dataclasses import dataclass
from typing import Self

from sluicegate.audit.checkpoint import Checkpoint, parse_checkpoint
from sluicegate.audit.errors import MalformedError, SigningError
from sluicegate.audit.keys import (
    SIGNATURE_SIZE,
    Signer,
    check_name,
    ed25519_verifies,
    format_verifier_key,
    key_id,
    parse_verifier_key,
)
from sluicegate.audit.note import Signature

COSIGNATURE_V1 = 0x04
"""The signature type of Ed25519 cosignatures (signed-note, "Signature types")."""

MAX_TIMESTAMP = 2**63 - 1

_TIMESTAMP_SIZE = 8


@dataclass(frozen=True, slots=True)
class CosignatureVerifier:
    """Verifies a witness's cosignatures (tlog-cosignature, "Format")."""

    name: str
    public_key: bytes

    @classmethod
    def from_key(cls, text: str) -> Self:
        """From `<name>+<id>+<key>` with signature type 4. Raises MalformedError."""
        return cls(*parse_verifier_key(text, COSIGNATURE_V1))

    @property
    def key_id(self) -> int:
        """The key's id, 32 bits."""
        return key_id(self.name, COSIGNATURE_V1, self.public_key)

    @property
    def key(self) -> str:
        """The text form to publish."""
        return format_verifier_key(self.name, COSIGNATURE_V1, self.public_key)

    def verify(self, text: bytes, signature: bytes) -> bool:
        if len(signature) != _TIMESTAMP_SIZE + SIGNATURE_SIZE:
            return False
        try:
            parse_checkpoint(text.decode())
            message = _message(text, timestamp(signature))
        except MalformedError:
            return False
        return ed25519_verifies(self.public_key, message, signature[_TIMESTAMP_SIZE:])


def timestamp(signature: bytes) -> int:
    """When a cosignature was made, in seconds since the Unix epoch: its first eight bytes."""
    return int.from_bytes(signature[:_TIMESTAMP_SIZE], "big")


async def cosign(checkpoint: Checkpoint, name: str, signer: Signer, at: int) -> Signature:
    """Cosign a checkpoint as a witness does (tlog-cosignature, "Ed25519 signed message").

    Args:
        checkpoint: one that the witness has found consistent with the last one it cosigned.
        name: the witness's name.
        signer: the witness's key, used for nothing else.
        at: seconds since the Unix epoch.

    Raises:
        MalformedError: not a key's name, or a time out of range.
        SigningError: the signer did not sign with the key it says it has.
    """
    check_name(name)
    message, public_key = _message(checkpoint.text.encode(), at), signer.public_key
    value = await signer.sign(message)
    if not ed25519_verifies(public_key, message, value):
        raise SigningError("The signer's answer is not a signature by its key.", details={"key": name})
    content = at.to_bytes(_TIMESTAMP_SIZE, "big") + value
    return Signature(name, key_id(name, COSIGNATURE_V1, public_key), content)


def _message(text: bytes, at: int) -> bytes:
    if not 0 <= at <= MAX_TIMESTAMP:
        raise MalformedError("A cosignature's time is between 0 and 2^63 - 1 seconds.")
    return b"cosignature/v1\ntime %d\n%s" % (at, text)
