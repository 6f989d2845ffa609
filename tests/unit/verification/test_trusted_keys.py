import pytest
from audit_rig.logs import ENTRY_KEY, LOG_KEY, ORIGIN
from audit_rig.memory import Disk, MemoryBlobs
from verification_rig.files import EXPORT_KEY, KEY, KEYS

from sluicegate.audit.checkpoint import Checkpoint, verify_checkpoint
from sluicegate.audit.errors import MalformedError, UnverifiedError
from sluicegate.audit.export.manifest import File, Log, Manifest, sign_manifest, verify_manifest
from sluicegate.audit.keys import Ed25519Signer, Ed25519Verifier
from sluicegate.audit.merkle import EMPTY_ROOT
from sluicegate.audit.note import format_note, sign_text
from sluicegate.audit.verify.trusted_keys import NAME, TrustedKeys, keep_keys, sign_keys, verify_keys


async def test_the_list_reads_back_and_only_by_the_logs_key():
    note = await sign_keys(KEYS, LOG_KEY)
    assert verify_keys(note, KEY) == KEYS
    with pytest.raises(UnverifiedError):
        verify_keys(note, Ed25519Verifier(ORIGIN, EXPORT_KEY.public_key))
    with pytest.raises(UnverifiedError):
        verify_keys(await sign_keys(KEYS, ENTRY_KEY), KEY)


async def test_a_checkpoint_is_no_list_of_keys_nor_the_reverse():
    checkpoint = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    signed = format_note(checkpoint.text, [await sign_text(checkpoint.text, ORIGIN, LOG_KEY)])
    with pytest.raises(MalformedError):
        verify_keys(signed, KEY)
    with pytest.raises(MalformedError):
        verify_checkpoint(await sign_keys(KEYS, LOG_KEY), KEY)


@pytest.mark.parametrize(
    "text",
    [
        "", "sluicegate audit keys v1\n", "sluicegate audit keys v2\nx\n",
        f"sluicegate audit keys v1\n{ORIGIN}\nwitness x\n",
        f"sluicegate audit keys v1\n{ORIGIN}\nentry x\n",
        f"sluicegate audit keys v1\n{ORIGIN}",
    ],
)  # fmt: skip
def test_another_form_is_refused(text):
    with pytest.raises(MalformedError):
        TrustedKeys.parse(text)


async def test_former_keys_stay_known_behind_the_newest():
    blobs = MemoryBlobs(Disk())
    await keep_keys(blobs, KEYS, LOG_KEY)
    first = blobs.disk.blobs[NAME]
    await keep_keys(blobs, KEYS, LOG_KEY)
    assert blobs.disk.blobs[NAME] is first, "what says the same is not written again"
    fresh = Ed25519Verifier(f"{ORIGIN}/entries", Ed25519Signer(b"N" * 32).public_key)
    await keep_keys(blobs, TrustedKeys(ORIGIN, (fresh,), KEYS.exports), LOG_KEY)
    kept = verify_keys(blobs.disk.blobs[NAME], KEY)
    assert kept.entries == (fresh, *KEYS.entries)
    assert kept.exports == KEYS.exports


async def test_a_manifest_is_held_to_its_signature():
    manifest = Manifest(
        tenant="acme", created="x", created_by="y", rows_format="csv", rows=1, privacy={"open": 1}, filter={},
        log=Log(origin=ORIGIN, size=1, root="r"), files={"rows.csv": File(bytes=1, sha256="0")},
    ).encode()  # fmt: skip
    assert Manifest.decode(manifest).rows == 1
    signature = await sign_manifest(manifest, ORIGIN, KEYS.exports[0].name, EXPORT_KEY)
    verify_manifest(manifest, signature, ORIGIN, KEYS.exports)
    for wrong, keys in ((manifest.replace(b"acme", b"zeta"), KEYS.exports), (manifest, KEYS.entries)):
        with pytest.raises((MalformedError, UnverifiedError)):
            verify_manifest(wrong, signature, ORIGIN, keys)
    for wrong in (b"{}", manifest[:-1], b" " + manifest, manifest.replace(b"export/1", b"export/2")):
        with pytest.raises(MalformedError):
            Manifest.decode(wrong)
