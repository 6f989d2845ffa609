"""A release: build, deploy without traffic, try, a tenth of the traffic, watch, promote or go back."""

import json
from dataclasses import dataclass

from components.balancer import CANDIDATE_HEADER
from components.service import CANDIDATE
from rollout.commands import CommandFailedError, World
from stack.plan import Plan

CANARY_PERCENT = 10
CANARY_SECONDS = 3_600
"""E8: a tenth of the traffic for an hour."""

WATCH_EVERY = 60
MOST_ERRORS = 0.01
"""A12: share of server errors."""

MOST_SLOWER = 1.5
"""The candidate's p95 against the stable revision's."""

_TRIES, _TRY_EVERY = 30, 10
_CONFIG = "sluicegate:stack"


class ReleaseFailedError(Exception):
    """The release was taken back; the message says why."""


@dataclass
class Release:
    """One release of a stack's web functions.

    Args:
        plan: the stack's, as configured before the release.
        stack: its name at Pulumi.
        world: where commands go.
        canary_seconds: how long a tenth of the traffic is watched.
    """

    plan: Plan
    stack: str
    world: World
    canary_seconds: int = CANARY_SECONDS

    def deploy(self, revision: str) -> None:
        """Build the commit `revision`, and bring it to all callers if it does well.

        Raises:
            ReleaseFailedError: it did not; who was served before is served as before.
            CommandFailedError: a command failed before anything was changed for callers.
        """
        image = self._build(revision)
        stable = self._stable()
        self._set("images.sluicegate", image)
        if not stable:
            self.world.say("nothing runs yet: all traffic goes to the first revisions")
            self._up()
            self._smoke({})
            return
        try:
            self._share(stable, 0)
            self._smoke({CANDIDATE_HEADER: CANDIDATE})
            self._share(stable, CANARY_PERCENT)
            self._watch()
        except (ReleaseFailedError, CommandFailedError) as error:
            self.world.say(f"going back: {error}")
            self._share(stable, 0)
            raise ReleaseFailedError(str(error)) from error
        self._promote(stable)

    def go_back(self, revisions: dict[str, str]) -> None:
        """All traffic to `revisions` (by function), at once; the newest one stays without any."""
        self._share(revisions, 0)

    def _build(self, revision: str) -> str:
        config = self.plan.config
        repository = f"{config.region}-docker.pkg.dev/{config.project}/{self.plan.name('images')}/sluicegate"
        self.world.say(f"building {revision[:12]}")
        self.world.run(
            "gcloud", "builds", "submit", "--config=cloudbuild.yaml", f"--project={config.project}",
            f"--region={config.region}", f"--substitutions=_REPOSITORY={repository},_TAG={revision}", ".",
        )  # fmt: skip
        digest = self.world.run(
            "gcloud", "artifacts", "docker", "images", "describe", f"{repository}:{revision}",
            f"--project={config.project}", "--format=value(image_summary.digest)",
        )  # fmt: skip
        return f"{repository}@{digest}"

    def _stable(self) -> dict[str, str]:
        """The revision that serves most, by function; empty if nothing is deployed yet."""
        config = self.plan.config
        listed = json.loads(
            self.world.run(
                "gcloud", "run", "services", "list", f"--project={config.project}",
                f"--region={config.region}", "--format=json",
            )
        )  # fmt: skip
        ours = {self.plan.name(each.name): each.name for each in self.plan.services}
        found = {}
        for service in listed:
            name = service["metadata"]["name"]
            traffic = [each for each in service["status"].get("traffic", []) if each.get("revisionName")]
            if name in ours and traffic:
                found[ours[name]] = max(traffic, key=lambda each: each.get("percent", 0))["revisionName"]
        return found

    def _share(self, stable: dict[str, str], percent: int) -> None:
        self.world.say(f"{percent} % of the traffic to the new revisions")
        for function, revision in sorted(stable.items()):
            self._set(f"rollout.{function}.stable", revision)
            self._set(f"rollout.{function}.percent", str(percent))
        self._up()

    def _promote(self, stable: dict[str, str]) -> None:
        self.world.say("all traffic to the new revisions")
        for function in sorted(stable):
            self.world.run(
                "pulumi", "config", "rm", "--path", f"{_CONFIG}.rollout.{function}", "--stack", self.stack
            )
        self._up()

    def _smoke(self, headers: dict[str, str]) -> None:
        """Every public function answers, and refuses who does not say who he is."""
        domain = self.plan.config.domain
        wanted = {"/healthz": 200, "/readyz": 200, "/v1/models": 401}
        paths = {path for each in self.plan.web for path in each.trigger.http}
        for path, status in wanted.items():
            if path not in paths and f"{path[:3]}/*" not in paths:
                continue
            for _ in range(_TRIES):
                got = self.world.status(f"https://{domain}{path}", headers)
                if got == status:
                    break
                self.world.wait(_TRY_EVERY)
            else:
                raise ReleaseFailedError(f"{path} answers {got}, not {status}")

    def _watch(self) -> None:
        for passed in range(WATCH_EVERY, self.canary_seconds + 1, WATCH_EVERY):
            self.world.wait(WATCH_EVERY)
            for manifest in self.plan.web:
                problem = self._problem(self.plan.name(manifest.name))
                if problem is not None:
                    raise ReleaseFailedError(f"{manifest.name} after {passed} s: {problem}")

    def _problem(self, service: str) -> str | None:
        project = self.plan.config.project
        newest = self.world.run(
            "gcloud", "run", "services", "describe", service, f"--project={project}",
            f"--region={self.plan.config.region}", "--format=value(status.latestReadyRevisionName)",
        )  # fmt: skip
        only = f'monitored_resource="cloud_run_revision",service_name="{service}"'
        candidate = f'{only},revision_name="{newest}"'
        count = "run_googleapis_com:request_count"
        failed, all_of_them = (
            f"sum(rate({count}{{{which}}}[10m]))"
            for which in (f'{candidate},response_code_class="5xx"', candidate)
        )
        errors = self.world.query(project, f"{failed} / {all_of_them}")
        if errors is not None and errors > MOST_ERRORS:
            return f"{errors:.1%} of the answers are errors (at most {MOST_ERRORS:.0%})"
        bucket = "run_googleapis_com:request_latencies_bucket"
        slow, usual = (
            self.world.query(
                project, f"histogram_quantile(0.95, sum by (le) (rate({bucket}{{{which}}}[10m])))"
            )
            for which in (candidate, f'{only},revision_name!="{newest}"')
        )
        if slow is not None and usual is not None and slow > usual * MOST_SLOWER:
            return f"p95 is {slow:.0f} ms, {usual:.0f} ms before (at most {MOST_SLOWER:g} times)"
        return None

    def _set(self, path: str, value: str) -> None:
        self.world.run("pulumi", "config", "set", "--path", f"{_CONFIG}.{path}", value, "--stack", self.stack)

    def _up(self) -> None:
        self.world.run(
            "pulumi",
            "up",
            "--yes",
            "--skip-preview",
            "--stack",
            self.stack,
            "--policy-pack",
            "infra/policies",
        )
