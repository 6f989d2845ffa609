"""What `dev.env` says, whatever the folder is called, and processes that are kept running."""

import subprocess
import sys
import time

import pytest

from sluicegate.cli.dev import _prepare, _write
from sluicegate.cli.kept_process import KeptProcess
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.wiring.local import read_environment


@pytest.mark.parametrize("value", ["plain", "/a b/c", "$(touch pwned)", "it's; rm x", '"', "`x`", ""])
def test_a_shell_and_we_read_back_what_was_written(tmp_path, value):
    path = tmp_path / "dev.env"
    _write(path, {"SLUICEGATE_DATA_DIR": value, "OTHER": "x"})
    assert read_environment(path) == {"SLUICEGATE_DATA_DIR": value, "OTHER": "x"}
    script = f'. {path}; printf %s "$SLUICEGATE_DATA_DIR"'
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == value
    assert [each.name for each in tmp_path.iterdir()] == ["dev.env"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_plain_values_stand_there_as_they_are(tmp_path):
    _write(tmp_path / "dev.env", {"SLUICEGATE_URL": "http://127.0.0.1:1", "KEY": "sk-slg-a-B_c"})
    assert (tmp_path / "dev.env").read_text() == "SLUICEGATE_URL=http://127.0.0.1:1\nKEY=sk-slg-a-B_c\n"


def test_a_file_of_something_else_has_no_variables(tmp_path):
    (tmp_path / "dev.env").write_bytes(b"\xff\xfe\x00=\xd3\n'")
    assert "SLUICEGATE_API_KEY" not in read_environment(tmp_path / "dev.env")


@pytest.mark.parametrize("place", ["file", "file/below", "line\nbreak", "taken"])
def test_a_folder_that_cannot_be_is_refused_in_plain_words(tmp_path, place):
    (tmp_path / "file").touch()
    (tmp_path / "taken" / "dev.env").mkdir(parents=True)
    with pytest.raises(ConfigurationError):
        _prepare(tmp_path / place)


def test_a_process_that_ends_is_started_again_until_it_is_stopped(tmp_path, capfd):
    marks = tmp_path / "marks"
    script = f"""
import pathlib, time
marks = pathlib.Path({str(marks)!r})
count = len(marks.read_text()) if marks.exists() else 0
marks.write_text("x" * (count + 1))
time.sleep(60 if count == 2 else 0)
"""
    kept = KeptProcess([sys.executable, "-c", script], "the process", pause_s=0.01)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (not marks.exists() or len(marks.read_text()) < 3):
        time.sleep(0.02)
    kept.stop()
    assert marks.read_text() == "xxx"
    assert capfd.readouterr().err.count("is started again") == 2
