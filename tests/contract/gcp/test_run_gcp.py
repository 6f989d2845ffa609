"""Cloud Run's jobs and services, over the wire."""

import pytest
from grpc import StatusCode

from sluicegate.adapters.gcp.errors import GoogleError
from sluicegate.adapters.gcp.run_jobs import CloudRun, Scaling
from sluicegate.kernel.errors import NotFoundError

JOB = "projects/p/locations/europe-west1/jobs/inference"
SERVICE = "projects/p/locations/europe-west1/services/gateway"


@pytest.fixture
def run(clients, google):
    google.run.jobs[JOB] = []
    google.run.add_service(SERVICE, 1, 10)
    return CloudRun(clients, "p", "europe-west1")


async def test_a_job_is_started_with_what_it_is_to_do_and_followed_to_its_end(run, google):
    name = await run.start("inference", args=["--batch", "b1"], env={"SHARDS": "3"}, tasks=3)
    [overrides] = google.run.jobs[JOB]
    [container] = overrides.container_overrides
    assert list(container.args) == ["--batch", "b1"]
    assert [(each.name, each.value) for each in container.env] == [("SHARDS", "3")]
    state = await run.execution(name)
    assert (state.tasks, state.running, state.done, state.succeeded) == (3, 3, False, False)
    execution = google.run.executions[name]
    execution.running_count, execution.succeeded_count = 0, 3
    execution.completion_time = "2026-01-01T00:00:00Z"
    assert (await run.execution(name)).succeeded


async def test_a_job_without_anything_to_say_runs_as_it_is(run, google):
    await run.start("inference")
    [overrides] = google.run.jobs[JOB]
    assert overrides.task_count == 0
    assert list(overrides.container_overrides[0].args) == []


async def test_a_cancelled_execution_has_ended_and_not_succeeded(run):
    name = await run.start("inference", tasks=2)
    await run.cancel(name)
    state = await run.execution(name)
    assert (state.done, state.succeeded, state.failed) == (True, False, 2)
    await run.cancel(f"{JOB}/executions/none")


async def test_a_start_that_may_have_gone_through_is_not_repeated(run, google):
    google.faults = [StatusCode.UNAVAILABLE]
    with pytest.raises(GoogleError):
        await run.start("inference")
    assert google.calls == ["RunJob"]


async def test_what_is_not_there_is_not_found(run):
    for action in (
        run.start("other"), run.execution(f"{JOB}/executions/none"), run.scaling("other"),
        run.set_scaling("other", Scaling(0, 1)),
    ):  # fmt: skip
        with pytest.raises(NotFoundError):
            await action


async def test_scaling_is_read_and_set(run, google):
    assert await run.scaling("gateway") == Scaling(1, 10)
    await run.set_scaling("gateway", Scaling(0, None))
    assert await run.scaling("gateway") == Scaling(0, None)
    await run.set_scaling("gateway", Scaling(3, 30))
    assert await run.scaling("gateway") == Scaling(3, 30)


@pytest.mark.parametrize("etag", ['"else"', '"!else"'])
async def test_what_somebody_else_changes_meanwhile_is_read_again(run, google, etag):
    service = google.run.services[SERVICE]

    def meanwhile():
        service.etag = etag
        service.labels["by"] = "somebody"

    google.run.meanwhile = meanwhile
    await run.set_scaling("gateway", Scaling(2, 20))
    assert await run.scaling("gateway") == Scaling(2, 20)
    assert service.labels["by"] == "somebody"
    assert google.calls.count("UpdateService") == 2
