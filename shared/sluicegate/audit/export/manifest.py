"""What an export says of itself: whose, of which log, with what in it; and the signature under that."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluicegate.audit.canonical_json import decode_canonical, encode
from sluicegate.audit.errors import EncodingError, MalformedError
from sluicegate.audit.keys import Signer, Verifier
from sluicegate.audit.note import format_note, sign_text, verify_note
from sluicegate.audit.ports import EntryFilter

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
LEAVES = "leaves.jsonl"
HASHES = "hashes"
CHECKPOINT = "checkpoint"
KEYS = "keys"

_FORMAT = "sluicegate-export/1"
_TITLE = "sluicegate export manifest v1"

Count = Annotated[int, Field(ge=0, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class File(_Part):
    """One file: its length in bytes and its SHA-256 in hexadecimal."""

    bytes: Count
    sha256: str


class Log(_Part):
    """The log at the checkpoint that the export is held against."""

    origin: str
    size: Count
    root: str


class Manifest(_Part):
    """All that an export says of itself.

    Attributes:
        format: the form of the export as a whole.
        rows_format: the form of its rows.
        rows: how many.
        privacy: rows by what became of their private part.
        filter: what was asked for; all of it must match.
        files: by name, all but the manifest and its signature.
    """

    format: str = _FORMAT
    tenant: str
    created: str
    created_by: str
    rows_format: str
    rows: Count
    privacy: dict[str, Count]
    filter: dict[str, str | int]
    log: Log
    files: dict[str, File]

    def encode(self) -> bytes:
        """The canonical JSON."""
        return encode(self.model_dump())

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The reverse of `encode`.

        Raises:
            MalformedError: something else.
        """
        try:
            manifest = cls.model_validate(decode_canonical(data))
        except (EncodingError, ValidationError) as error:
            raise MalformedError("Not an export's manifest.") from error
        if manifest.format != _FORMAT:
            raise MalformedError(f"An export of another kind than {_FORMAT}.")
        return manifest


def filter_as_asked(wanted: EntryFilter) -> Mapping[str, str | int]:
    """What a filter asks for, for the manifest."""
    return {name: value for name, value in asdict(wanted).items() if value is not None and name != "below"}


async def sign_manifest(manifest: bytes, origin: str, name: str, signer: Signer) -> bytes:
    """The signed note: title, the log's origin, base64 of the manifest's SHA-256.

    Args:
        manifest: its bytes.
        origin: the log's name.
        name: the name of the key that signs exports.
        signer: that key.

    Raises:
        SigningError: as `sign_text`.
    """
    text = _text(manifest, origin)
    return format_note(text, [await sign_text(text, name, signer)])


def verify_manifest(manifest: bytes, signature: bytes, origin: str, keys: tuple[Verifier, ...]) -> None:
    """Check that one of `keys` has signed the manifest.

    Raises:
        MalformedError: the signature is not a note, or one of something else.
        UnverifiedError: none of the keys has signed it.
    """
    if verify_note(signature, keys).text != _text(manifest, origin):
        raise MalformedError("The signature is that of another manifest.")


def _text(manifest: bytes, origin: str) -> str:
    return f"{_TITLE}\n{origin}\n{b64encode(sha256(manifest).digest()).decode()}\n"
