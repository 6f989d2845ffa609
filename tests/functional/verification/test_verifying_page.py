"""The auditor's page: its program says of an export what we say."""

import asyncio
import re
import subprocess
import sys

import pytest
from verification_rig.files import a_log, export_report


def _other_root(note):
    origin, size, root, rest = note.split(b"\n", 3)
    return b"\n".join((origin, size, root[::-1], rest))


CHANGES = {
    "as it was": lambda files: files,
    "a row": lambda files: {**files, "rows.jsonl": files["rows.jsonl"].replace(b"user-2", b"user-3", 1)},
    "a leaf": lambda files: {**files, "leaves.jsonl": files["leaves.jsonl"].replace(b"inter", b"intra", 1)},
    "a hash": lambda files: {**files, "hashes": bytes(32) + files["hashes"][32:]},
    "the root": lambda files: {**files, "checkpoint": _other_root(files["checkpoint"])},
}


@pytest.fixture
def program(documents, tmp_path):
    [text] = re.findall(r"^```python\n(.*?)^```", documents, re.MULTILINE | re.DOTALL)
    path = tmp_path / "check.py"
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def documents(request):
    return (request.config.rootpath / "docs" / "verifying.md").read_text("utf-8")


@pytest.mark.parametrize("change", CHANGES)
async def test_the_pages_program_agrees_with_us(program, tmp_path, change):
    files = CHANGES[change](await (await a_log(150, 40)).export(action="model.*"))
    folder = tmp_path / "export"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    command = [sys.executable, str(program), str(folder)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is export_report(files).holds is (change == "as it was"), done.stderr
