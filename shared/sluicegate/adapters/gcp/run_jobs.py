"""Cloud Run: starting jobs, and reading and setting how far services scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.adapters.gcp.clients import EXECUTIONS, JOBS, SERVICES, GoogleClients, Patience
from sluicegate.adapters.gcp.errors import AbsentError, ConflictError
from sluicegate.kernel.errors import NotFoundError

# Starting something is not tried again by itself: it would run twice.
_ONCE = Patience(attempt_s=30.0, total_s=0.0)
_MOST_TURNS = 3


@dataclass(frozen=True, slots=True)
class Execution:
    """A job's run. `done` when no task runs any more; `succeeded` when none has failed for good."""

    name: str
    tasks: int
    running: int
    completed: int
    failed: int
    done: bool

    @property
    def succeeded(self) -> bool:
        return self.done and self.completed == self.tasks


@dataclass(frozen=True, slots=True)
class Scaling:
    """Bounds on a service's instances. `most` None: Cloud Run's own."""

    least: int
    most: int | None


class CloudRun:
    """Jobs and services of one project and region, by their short names."""

    def __init__(self, clients: GoogleClients, project: str, region: str) -> None:
        self._clients = clients
        self._place = f"projects/{project}/locations/{region}"

    async def start(
        self, job: str, *, args: Sequence[str] = (), env: Mapping[str, str] | None = None,
        tasks: int | None = None,
    ) -> str:  # fmt: skip
        """Start the job and return the execution's name, without waiting for its end.

        `args` are instead of the job's own, `env` beside them.

        Raises:
            NotFoundError: there is no such job.
            GoogleError: it may or may not have been started.
        """
        override: dict[str, object] = {
            "env": [{"name": name, "value": value} for name, value in (env or {}).items()]
        }
        if args:
            override["args"] = list(args)
        overrides: dict[str, object] = {"container_overrides": [override]}
        if tasks is not None:
            overrides["task_count"] = tasks
        request = {"name": f"{self._place}/jobs/{job}", "overrides": overrides}
        try:
            operation = await self._clients.call(JOBS, "run_job", request, _ONCE)
        except AbsentError as error:
            raise NotFoundError(f"there is no job {job!r}") from error
        return str(operation.metadata.name)

    async def execution(self, name: str) -> Execution:
        """How far an execution is.

        Raises:
            NotFoundError: there is none of this name.
        """
        try:
            found = await self._clients.call(EXECUTIONS, "get_execution", {"name": name})
        except AbsentError as error:
            raise NotFoundError("there is no such execution") from error
        return Execution(
            name=found.name,
            tasks=found.task_count,
            running=found.running_count,
            completed=found.succeeded_count,
            failed=found.failed_count + found.cancelled_count,
            done=bool(found.completion_time),
        )

    async def cancel(self, name: str) -> None:
        """End an execution; harmless when it has ended."""
        try:
            await self._clients.call(EXECUTIONS, "cancel_execution", {"name": name})
        except (AbsentError, ConflictError):
            return

    async def scaling(self, service: str) -> Scaling:
        """The service's bounds.

        Raises:
            NotFoundError: there is no such service.
        """
        scaling = (await self._service(service)).scaling
        return Scaling(scaling.min_instance_count, scaling.max_instance_count or None)

    async def set_scaling(self, service: str, scaling: Scaling) -> None:
        """Set the service's bounds, without a new revision. What others change meanwhile stays changed.

        Raises:
            NotFoundError: there is no such service.
        """
        for turn in range(_MOST_TURNS):
            found = await self._service(service)
            request = {
                "service": {
                    "name": found.name,
                    "etag": found.etag,
                    "scaling": {
                        "min_instance_count": scaling.least, "max_instance_count": scaling.most or 0
                    },
                },
                "update_mask": {"paths": ["scaling.min_instance_count", "scaling.max_instance_count"]},
            }  # fmt: skip
            try:
                await self._clients.call(SERVICES, "update_service", request)
            except ConflictError:
                if turn == _MOST_TURNS - 1:
                    raise
            else:
                return

    async def _service(self, service: str) -> Any:
        try:
            found = await self._clients.call(
                SERVICES, "get_service", {"name": f"{self._place}/services/{service}"}
            )
        except AbsentError as error:
            raise NotFoundError(f"there is no service {service!r}") from error
        return found
