"""What `./scripts/bench` makes of its measurements."""

from benchmarks import report, stages
from benchmarks.load import Load
from benchmarks.targets import Target
from benchmarks.throughput import Round, Throughput
from benchmarks.traffic import PLAIN, Request, bearer

SERVE = "run_service (sluicegate/web/gateway/service.py);Runner.run (asyncio/runners.py)"
ANSWER = f"{SERVE};Connection._run (sluicegate/web/server/connection.py)"
PIPELINE = f"{ANSWER};CompletionPipeline.run (sluicegate/completions/pipeline/pipeline.py)"


def test_a_sample_counts_for_the_innermost_stage() -> None:
    found = stages.shares(
        [
            f"{SERVE} 10",
            f"{ANSWER};ServerExchange.answer (sluicegate/web/server/exchange.py) 20",
            f"{PIPELINE};Router.plan (sluicegate/routing/service.py);__init__ (<string>) 30",
            f"{PIPELINE};usage_event (sluicegate/completions/pipeline/record.py) 25",
            f"{PIPELINE};RedisAdmissionStore.settle (sluicegate/adapters/redis/admission_store.py) 15",
        ]
    )
    assert found == {
        "settlement, usage event": 0.40,
        "routing": 0.30,
        "HTTP out": 0.20,
        stages.LOOP: 0.10,
    }
    assert next(iter(found)) == "settlement, usage event"


def test_an_idle_thread_is_no_work() -> None:
    idle = "Thread._bootstrap (threading.py);_worker (concurrent/futures/thread.py)"
    assert stages.shares([f"{idle} 900", f"{SERVE} 100"]) == {stages.LOOP: 1.0}


def test_a_request_is_framed_by_its_length() -> None:
    raw = Request(80, PLAIN, headers=bearer("k")).raw()
    head, _, body = raw.partition(b"\r\n\r\n")
    assert body == PLAIN
    assert f"content-length: {len(PLAIN)}".encode() in head.split(b"\r\n")
    assert b"authorization: Bearer k" in head.split(b"\r\n")


def test_goals_say_met_and_missed_and_leave_out_what_was_not_measured() -> None:
    text = report.goals(
        {"throughput": {"governed": {"requests_per_s": 8_000.0}}, "start": {"gateway_s": 0.81}}
    )
    lines = text.splitlines()
    assert len(lines) == 6
    assert lines[4].split("|")[1:5] == [" governed requests per second ", *lines[4].split("|")[2:5]]
    assert " met " in lines[4]
    assert " missed " in lines[5]


def test_a_round_with_refusals_does_not_count_them_as_speed() -> None:
    load = Load(requests=1_000, seconds=2.0, refused=400, failed=0, p50_ms=1.0, p99_ms=2.0)
    each = Round(load, 100.0, 20.0, {"redis": 40.0}, 0.9, 0.0, 0.0)
    result = Throughput(Target("x", "X", Request(80, b""), (1,)), [each])
    assert result.per_s == 300.0
    assert result.as_json()["refused"] == 400
    assert result.as_json()["per_cpu_second"] == 10_000


def test_a_round_is_as_disturbed_as_its_worst_core() -> None:
    load = Load(1, 1.0, 0, 0, 1.0, 1.0)
    assert Round(load, 1.0, 0.5, {}, 0.5, 0.02, 0.3).disturbance == 0.3
