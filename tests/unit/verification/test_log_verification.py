"""What verification of a log says beyond the mutations: deletions, growth, cosignatures, leaves."""

import json
from base64 import b64encode

import pytest
from audit_rig.logs import ENTRY_KEY, START, done, usage
from verification_rig.files import DAY, KEY, Log, MemoryLog, a_log, log_report, problems

from sluicegate.adapters.local.log_source import FolderLog
from sluicegate.audit.canonical_json import encode
from sluicegate.audit.checkpoint import parse_checkpoint
from sluicegate.audit.cosignature import CosignatureVerifier, cosign
from sluicegate.audit.keys import Ed25519Signer
from sluicegate.audit.note import format_note, parse_note
from sluicegate.audit.tiles import Bundle, unpack_entries
from sluicegate.audit.verify import log as verify_log_module
from sluicegate.audit.verify.leaf import FaultyLeafError, LeafCheck
from sluicegate.audit.verify.log import LogQuestion, verify_log

WITNESS = Ed25519Signer(b"W" * 32)


@pytest.mark.parametrize("entries", [0, 1, 255, 256, 257, 513])
async def test_a_log_of_any_size_holds(entries):
    log = Log()
    await log.start()
    for at in range(0, entries, 200):
        await log.append(*(usage(number) for number in range(at, min(at + 200, entries))))
    report = log_report(log.files)
    assert report.holds, problems(report)
    assert (report.size, report.checked.get("entries", 0)) == (entries, entries)


async def test_an_empty_log_with_another_root_does_not_hold():
    log = Log()
    await log.start()
    assert not log_report({**log.files, "state": log.files["state"].replace(b"47DEQ", b"47DEA")}).holds


async def test_deleted_packs_are_accounted_for_one_by_one():
    log = await a_log(120, 20)
    report = log_report(log.files)
    assert report.holds, problems(report)
    gone = [usage(n, tenant="acme", at=START - 400 * DAY) for n in range(900, 905)]
    await log.append(*gone)
    [name] = [each for each in log.files if each.startswith("sealed/acme/2024")]
    left = {each: content for each, content in log.files.items() if each != name}
    [problem] = problems(log_report(left))
    assert "those of 4 entries more" in problem
    await log.log.retention.run()
    told, log.told.events = log.told.events, []
    assert not log_report(log.files).holds, "deleted, and the entry that says so is on its way"
    await log.append(*told)
    assert log_report(log.files).holds


async def test_what_grows_while_it_is_read_is_no_fault():
    log = Log()
    await log.start()
    await log.append(*(usage(number) for number in range(300)))

    class Growing(MemoryLog):
        """Another sequencer's work appears after so many reads."""

        reads = 0
        grown = None

        def read(self, name):
            self.reads += 1
            if self.reads == 8:
                self.files = self.grown
            return super().read(name)

    source = Growing(log.files)
    # What retention did just then is in the log only beyond what is verified.
    await log.append(*(usage(number) for number in range(300, 700)))
    source.grown = log.files
    report = verify_log(LogQuestion(source, KEY), "x")
    assert report.holds, problems(report)
    assert report.size in {300, 700}


async def test_cosignatures_of_known_witnesses_must_be_right():
    log = Log()
    await log.start()
    await log.append(usage(1))
    note = parse_note(log.files["checkpoint"])
    name = "witness.example.com/w1"
    line = await cosign(parse_checkpoint(note.text), name, WITNESS, 1_767_225_600)
    cosigned = format_note(note.text, [*note.signatures, line])
    files = {**log.files, "checkpoint": cosigned, "checkpoints/1": cosigned}
    witness = CosignatureVerifier(name, WITNESS.public_key)
    report = log_report(files, witnesses=(witness,))
    assert report.holds
    assert report.checked["cosignatures"] == 1
    wrong = cosigned[:-8] + b"AAAAAA==\n" if cosigned.endswith(b"==\n") else cosigned[:-9] + b"AAAAAAAA\n"
    assert not log_report({**files, "checkpoints/1": wrong}, witnesses=(witness,)).holds
    assert log_report(files).holds, "a witness that is not known says nothing"


async def test_hashes_alone_can_be_verified_without_entries():
    files = (await a_log(300, 60)).files
    public = {
        name: content
        for name, content in files.items()
        if not name.startswith(("sealed/", "tile/entries", "state"))
    }
    report = log_report(public, hashes_only=True)
    assert report.holds, problems(report)
    assert "entries" not in report.checked
    name = "tile/0/000"
    assert not log_report({**public, name: b"x" * 8_192}, hashes_only=True).holds


async def test_several_processes_come_to_the_same_result(tmp_path, monkeypatch):
    monkeypatch.setattr(verify_log_module, "_WORTH_PROCESSES", 100)
    monkeypatch.setattr(verify_log_module, "SEGMENT_BUNDLES", 1)
    files = (await a_log(600, 90)).files
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    seen = []
    one, two = (
        verify_log(
            LogQuestion(FolderLog(tmp_path), KEY, processes=count),
            "x",
            lambda done, total: seen.append((done, total)),
        )
        for count in (1, 2)
    )
    assert one.holds, problems(one)
    assert one.as_json() == two.as_json()
    assert seen[-1] == (one.size, one.size)
    (tmp_path / "tile/entries/001").write_bytes(files["tile/entries/000"])
    bad = verify_log(LogQuestion(FolderLog(tmp_path), KEY, processes=2), "x")
    assert not bad.holds
    assert bad.findings.count > len(bad.findings.kept) == 100, "all are counted, the first ones kept"


@pytest.fixture
async def leaf():
    log = Log()
    await log.start()
    await log.append(done("key.created", payload={"key_id": "k"}))
    [name] = [each for each in log.files if each.startswith("tile/entries")]
    [data] = unpack_entries(Bundle(0, 1), log.files[name])
    return data


def resigned(content):
    """The leaf with a right signature, whatever it says."""
    content.pop("signature", None)
    message = encode(content)
    return encode({**content, "signature": b64encode(ENTRY_KEY._key.sign(message)).decode()})


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2}, {"v": True}, {"id": "A" * 32}, {"id": "0" * 31}, {"timestamp": "2026-11-20T21:55:00Z"},
        {"timestamp": "2026-13-20T21:55:00.000Z"}, {"tenant": 5}, {"payload": {}}, {"payload": None},
        {"more": 1},
        {"result": "ok"}, {"userId": None},
        {"payload": {"class": "internal", "commitment": "x", "sealed": "AAAA"}},
    ],
)  # fmt: skip
def test_a_leaf_is_held_to_its_form_even_if_it_is_signed(leaf, change):
    check = LeafCheck([ENTRY_KEY.public_key])
    content = json.loads(leaf)
    assert check.check(resigned(dict(content))).id == bytes.fromhex(content["id"])
    with pytest.raises(FaultyLeafError):
        check.check(resigned({**content, **change}))


def test_a_leaf_is_held_to_one_spelling_and_one_signature(leaf):
    check = LeafCheck([b"\1" + bytes(31), ENTRY_KEY.public_key])
    assert check.check(leaf)
    for wrong in (leaf + b" ", leaf.replace(b":", b": ", 1), leaf[:-1] + b',"v":1}', b"[]", b"\xff"):
        with pytest.raises(FaultyLeafError):
            check.check(wrong)
    with pytest.raises(FaultyLeafError, match="signature"):
        LeafCheck([WITNESS.public_key]).check(leaf)
    with pytest.raises(FaultyLeafError, match="signature"):
        LeafCheck([]).check(leaf)
