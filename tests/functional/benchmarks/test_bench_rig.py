"""`./scripts/bench` measures something: its upstream, generator and clients, small and on real sockets."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import latency, streams, targets
from benchmarks.load import drive
from benchmarks.machine import Cores
from benchmarks.targets import Site, Target
from benchmarks.traffic import PLAIN, STREAMED, Request
from benchmarks.upstream import STREAM


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("PYTHONPATH", str(Path(targets.__file__).resolve().parents[1]))
    return Site(tmp_path, Cores(None, None))


def test_the_bare_gateway_answers_every_request(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)  # our own generator and upstream
    with targets.upstream(site) as served, targets.passthrough(served) as bare:
        load = drive(bare.request, connections=4, seconds=0.3, cores=None, folder=site.folder)
        found = latency.compare({"bare": bare.request, "direct": Request(served.upstream, PLAIN)}, count=50)
    assert load.requests > 0
    assert load.refused == load.failed == 0
    assert set(found) == {"bare", "direct"}


def test_streams_are_counted_to_their_last_event(site: Site) -> None:
    with targets.upstream(site, plain=True) as served, targets.passthrough(served) as bare:
        found = streams.hold_open(bare, Request(bare.request.port, STREAMED), wanted=20, within_s=30)
    assert found.complete == 20
    # The last piece on the wire holds two events: usage and [DONE].
    assert found.events == {len(STREAM) + 1: 20}
    assert not found.problems


def test_an_answer_that_is_no_stream_does_not_count_and_ends_in_time(site: Site) -> None:
    with targets.upstream(site, plain=True) as served:
        target = Target("x", "X", Request(served.upstream, PLAIN), served.upstream_pids)
        found = streams.hold_open(target, Request(served.upstream, PLAIN), wanted=1, within_s=1)
    assert found.complete == 0
    assert found.problems == {"not over after 1 s": 1}


def test_help_names_the_cases() -> None:
    script = Path(targets.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--help"], capture_output=True, text=True, check=True, cwd=script
    )
    assert "throughput, latency, memory, start, streams, profile" in done.stdout
