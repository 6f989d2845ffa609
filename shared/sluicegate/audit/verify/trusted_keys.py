"""The keys that a log's own key vouches for, as a signed note beside the log: `keys`.

Whoever verifies trusts one key, the log's. The note says, signed by it, which keys sign entries and exports,
those of former times included. Its first line keeps it from being taken for a checkpoint, and the reverse.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from sluicegate.audit.errors import MalformedError
from sluicegate.audit.keys import Ed25519Verifier, Signer, Verifier
from sluicegate.audit.note import format_note, sign_text, verify_note
from sluicegate.audit.ports import BlobStore
from sluicegate.kernel.errors import OverloadedError

NAME = "keys"

_TITLE = "sluicegate audit keys v1"
_KINDS = ("entry", "export")
_TRIES = 20


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """Keys by what they sign, the newest first.

    Attributes:
        origin: the log's name.
        entries: of entries' signatures.
        exports: of exports' manifests.
    """

    origin: str
    entries: tuple[Ed25519Verifier, ...]
    exports: tuple[Ed25519Verifier, ...]

    @property
    def text(self) -> str:
        """The note's text: title, origin, and a line `<kind> <verifier key>` for each key."""
        lines = [f"{kind} {each.key}" for kind, keys in self._by_kind() for each in keys]
        return "".join(f"{line}\n" for line in (_TITLE, self.origin, *lines))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reverse of `text`.

        Raises:
            MalformedError: it is something else.
        """
        lines = text.split("\n")
        if len(lines) < 3 or lines.pop() or lines[0] != _TITLE:
            raise MalformedError(f"A list of keys starts with the line: {_TITLE}")
        found: dict[str, list[Ed25519Verifier]] = {kind: [] for kind in _KINDS}
        for line in lines[2:]:
            kind, _, key = line.partition(" ")
            if kind not in found:
                raise MalformedError("A list of keys has keys of entries and of exports.")
            found[kind].append(Ed25519Verifier.from_key(key))
        return cls(lines[1], tuple(found["entry"]), tuple(found["export"]))

    def with_former(self, former: "TrustedKeys") -> "TrustedKeys":
        """These keys, and after them those of `former` that are not among them."""
        return TrustedKeys(
            self.origin,
            tuple(dict.fromkeys((*self.entries, *former.entries))),
            tuple(dict.fromkeys((*self.exports, *former.exports))),
        )

    def _by_kind(self) -> Iterable[tuple[str, tuple[Ed25519Verifier, ...]]]:
        return (("entry", self.entries), ("export", self.exports))


async def sign_keys(keys: TrustedKeys, signer: Signer) -> bytes:
    """The note, signed with the log's key.

    Raises:
        SigningError: as `sign_text`.
    """
    return format_note(keys.text, [await sign_text(keys.text, keys.origin, signer)])


def verify_keys(data: bytes, log: Verifier) -> TrustedKeys:
    """The keys that the log's key vouches for.

    Raises:
        MalformedError: not a list of keys, or another log's.
        UnverifiedError: the log's key has not signed it.
    """
    keys = TrustedKeys.parse(verify_note(data, [log]).text)
    if keys.origin != log.name:
        raise MalformedError("The list of keys is another log's.")
    return keys


async def keep_keys(blobs: BlobStore, keys: TrustedKeys, signer: Signer) -> None:
    """Have the list beside the log say these keys, and after them those that it said before.

    Raises:
        MalformedError, UnverifiedError: what is there is not this log's list.
        SigningError: as `sign_text`.
    """
    for _ in range(_TRIES):
        blob = await blobs.read(NAME)
        wanted = keys
        if blob is not None:
            former = verify_keys(blob.content, Ed25519Verifier(keys.origin, signer.public_key))
            wanted = keys.with_former(former)
            if wanted == former:
                return
        generation = 0 if blob is None else blob.generation
        if await blobs.write(NAME, await sign_keys(wanted, signer), if_generation=generation):
            return
    raise OverloadedError("the list of keys is being written by too many at once", retry_after=1.0)
