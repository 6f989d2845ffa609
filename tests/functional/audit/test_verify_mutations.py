"""Whatever is changed in a log or an export, verification notices.

AUDIT_MUTATIONS=10000:2000 makes it a log of 10 000 entries and 2 000 changed bytes: scripts/audit-mutations.
"""

import os
import random
import struct
from typing import ClassVar

import pytest
from verification_rig.files import a_log, export_report, log_report, problems

from sluicegate.audit.tiles import Bundle, pack_entries, parse_path, unpack_entries
from sluicegate.audit.verify import rows, segment
from sluicegate.audit.verify.leaf import FaultyLeafError, LeafCheck

ENTRIES, FLIPS = map(int, os.environ.get("AUDIT_MUTATIONS", "500:240").split(":"))
BATCH = max(41, ENTRIES // 60)
KINDS = ("tile/0/", "tile/1/", "tile/entries/", "checkpoints/", "sealed/", "checkpoint", "state", "keys")


class RememberingCheck(LeafCheck):
    """Checks each leaf once: whether its bytes are good does not change between two looks at them."""

    known: ClassVar = {}

    def check(self, leaf):
        if leaf not in self.known:
            try:
                self.known[leaf] = super().check(leaf)
            except FaultyLeafError as error:
                self.known[leaf] = error
        found = self.known[leaf]
        if isinstance(found, FaultyLeafError):
            raise found
        return found


@pytest.fixture(scope="module", autouse=True)
def remembered():
    with pytest.MonkeyPatch.context() as patch:
        for module in (segment, rows):
            patch.setattr(module, "LeafCheck", RememberingCheck)
            module._checker.cache_clear()
        yield
        for module in (segment, rows):
            module._checker.cache_clear()


@pytest.fixture(scope="module")
def runner():
    import asyncio

    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def log(runner):
    return runner.run(a_log(ENTRIES, BATCH))


@pytest.fixture(scope="module")
def files(log):
    report = log_report(log.files)
    assert report.holds, problems(report)
    assert report.size > ENTRIES
    assert report.checked["expired parts"] > 0
    return log.files


@pytest.fixture(scope="module", params=["jsonl", "csv", "parquet"])
def export(request, log, runner):
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="the extra `export` is not installed")
    files = runner.run(log.export(rows_format=request.param, action="key.*"))
    report = export_report(files)
    assert report.holds, problems(report)
    assert report.checked["rows"] > ENTRIES / 20
    return files


def flipped(content, chance):
    at, bit = chance.randrange(len(content)), 1 << chance.randrange(8)
    changed = bytearray(content)
    changed[at] ^= bit
    return bytes(changed), at, bit


def test_every_changed_byte_of_a_log_is_noticed(files):
    chance = random.Random(7)
    by_kind = {kind: sorted(name for name in files if name.startswith(kind)) for kind in KINDS}
    assert all(by_kind.values())
    missed = []
    for number in range(FLIPS):
        name = chance.choice(by_kind[KINDS[number % len(KINDS)]])
        content, at, bit = flipped(files[name], chance)
        if log_report({**files, name: content}).holds:
            missed.append((name, at, bit))
    assert missed == []


def test_every_changed_byte_of_an_export_is_noticed(export):
    chance = random.Random(11)
    names = sorted(name for name in export if export[name])
    missed = []
    for number in range(FLIPS // 2):
        name = names[number % len(names)]
        content, at, bit = flipped(export[name], chance)
        if export_report({**export, name: content}).holds:
            missed.append((name, at, bit))
    assert missed == []


@pytest.mark.parametrize("change", ["dropped", "duplicated", "reordered", "moved to another place"])
def test_entries_that_are_dropped_duplicated_or_reordered_are_noticed(files, change):
    chance = random.Random(13)
    bundles = sorted(name for name in files if name.startswith("tile/entries/"))
    for _ in range(max(5, FLIPS // 40)):
        name = chance.choice(bundles)
        bundle = parse_path(name)
        entries = unpack_entries(bundle, files[name])
        one, other = chance.sample(range(len(entries)), 2) if len(entries) > 1 else (0, 0)
        if change == "dropped":
            del entries[one]
        elif change == "duplicated":
            entries[other] = entries[one]
            entries += [entries[one]] * (one == other)
        elif change == "reordered":
            entries[one], entries[other] = entries[other], entries[one]
            if one == other:
                continue
        else:
            entries.insert(other, entries.pop(one))
            if one == other:
                continue
        report = log_report({**files, name: pack_entries(entries)})
        assert not report.holds, name


def test_a_file_that_is_missing_or_cut_or_another_s_is_noticed(files):
    chance = random.Random(17)
    partial = {name for name in files if ".p/" in name}
    latest = {name for name in partial if _is_latest(name, files)}
    for name in chance.sample(sorted(files), max(20, FLIPS // 10)):
        cut = files[name][:-1]
        assert not log_report({**files, name: cut}).holds, name
        twin = next(
            each for each in sorted(files, reverse=True) if each != name and files[each] != files[name]
        )
        assert not log_report({**files, name: files[twin]}).holds, name
        left = {each: content for each, content in files.items() if each != name}
        # What a later file has all of may be tidied up; old checkpoints and the state are for the log itself.
        if name not in partial - latest and not name.startswith("checkpoints/") and name != "state":
            assert not log_report(left).holds, name


def test_what_does_not_belong_to_a_log_is_noticed(files):
    size = log_report(files).size
    for name in (
        "note.txt", "tile/0/999", "tile/9/000.p/1", "tile/00/000", f"checkpoints/{size + 1}",
        "checkpoints/00",
        "sealed/acme/2026-01-01/99999999-1", "sealed/acme/x", "staging/1-x",
    ):  # fmt: skip
        assert not log_report({**files, name: b"x"}).holds, name


def test_a_log_that_was_cut_back_is_noticed(files):
    sizes = sorted(
        int(name.removeprefix("checkpoints/")) for name in files if name.startswith("checkpoints/")
    )
    former = sizes[len(sizes) // 2]
    rolled = {**files, "checkpoint": files[f"checkpoints/{former}"]}
    assert not log_report(rolled).holds
    # The same done with care: nothing is left of what came later, but an auditor kept a checkpoint.
    rolled = {name: content for name, content in rolled.items() if _within(name, former)}
    assert log_report(rolled).size == former
    kept = (("kept", files[f"checkpoints/{sizes[-1]}"]),)
    found = problems(log_report(rolled, known=kept))
    assert any(problem.startswith(f"kept: speaks of {sizes[-1]} entries") for problem in found)


def test_a_history_that_the_log_itself_wrote_anew_is_noticed(files, runner):
    """Whoever has the log's key can sign another tree, but not make it continue a checkpoint that is out."""
    other = runner.run(a_log(ENTRIES + 10, BATCH)).files
    assert log_report(other).holds
    kept = next(
        (each, files[each]) for each in sorted(files)
        if each.startswith("checkpoints/") and each in other and files[each] != other[each]
    )  # fmt: skip
    found = problems(log_report(other, known=(kept,)))
    assert any("has another root" in problem for problem in found)


def test_an_entry_taken_out_of_an_export_is_noticed(export):
    lines = export["leaves.jsonl"].splitlines(keepends=True)
    assert not export_report({**export, "leaves.jsonl": b"".join(lines[:-1])}).holds
    assert not export_report({**export, "leaves.jsonl": b"".join(lines[1:])}).holds
    assert not export_report({**export, "leaves.jsonl": b"".join([*lines, lines[-1]])}).holds
    assert not export_report({**export, "hashes": export["hashes"][32:]}).holds
    assert not export_report({**export, "hashes": export["hashes"] + bytes(32)}).holds
    for name in export:
        assert not export_report({each: export[each] for each in export if each != name}).holds, name
        assert not export_report({**export, f"{name}.old": b""}).holds


def _is_latest(name, files):
    place = parse_path(name)
    widths = [
        each.width
        for each in map(parse_path, (other for other in files if other.startswith("tile/")))
        if type(each) is type(place)
        and each.index == place.index
        and (isinstance(place, Bundle) or each.level == place.level)
    ]
    return place.width == max(widths)


def _within(name, size):
    if name.startswith("tile/"):
        place = parse_path(name)
        level = 0 if isinstance(place, Bundle) else place.level
        return (place.index * 256 + place.width) << 8 * level <= size
    if name.startswith("sealed/"):
        first, count = map(int, name.rpartition("/")[2].split("-"))
        return first + count <= size
    if name.startswith("checkpoints/"):
        return int(name.removeprefix("checkpoints/")) <= size
    return name != "state"


def test_packs_hold_exactly_what_leaves_name(files):
    name = next(each for each in sorted(files) if each.startswith("sealed/"))
    content = files[name]
    index, length = struct.unpack_from(">QI", content)
    elsewhere = struct.pack(">QI", index + 1, length) + content[12:]
    assert not log_report({**files, name: elsewhere}).holds
    tenant = name.replace("/acme/", "/zeta/") if "/acme/" in name else name.replace("/zeta/", "/acme/")
    moved = {each: value for each, value in files.items() if each != name} | {tenant: content}
    assert not log_report(moved).holds
    left = {each: value for each, value in files.items() if each != name}
    [problem] = problems(log_report(left))
    assert "no entry says that it was deleted" in problem
