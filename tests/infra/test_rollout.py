"""A release against a cloud that is played: what is done, in what order, and what happens when it fails."""

import json

import pytest

from rollout.commands import CommandFailedError
from rollout.release import Release, ReleaseFailedError

STABLE = {"gateway": "sluicegate-gateway-00007-abc", "control": "sluicegate-control-00003-xyz"}


class PlayedWorld:
    def __init__(self, *, running=STABLE, statuses=None, answers=None):
        self.commands, self.said, self.waited, self.asked = [], [], 0.0, []
        self.running = running
        self.statuses = {"/healthz": 200, "/readyz": 200, "/v1/models": 401, **(statuses or {})}
        self.answers = answers or {}
        self.config = {}

    def run(self, *command):
        self.commands.append(command)
        if command[:3] == ("pulumi", "config", "set"):
            self.config[command[4]] = command[5]
        if command[:3] == ("pulumi", "config", "rm"):
            self.config = {
                name: value for name, value in self.config.items() if not name.startswith(command[4])
            }
        if command[:2] == ("pulumi", "up"):
            self.commands[-1] = (
                "up",
                {
                    name.partition("rollout.")[2]: each
                    for name, each in self.config.items()
                    if "rollout" in name
                },
            )
        if "describe" in command and "images" in command:
            return f"sha256:{'1' * 64}"
        if "list" in command:
            return json.dumps(
                [
                    {
                        "metadata": {"name": f"sluicegate-{name}"},
                        "status": {
                            "traffic": [
                                {"revisionName": revision, "percent": 100},
                                {"revisionName": "other", "percent": 0},
                            ]
                        },
                    }
                    for name, revision in self.running.items()
                ]
            )
        return "sluicegate-new-00001"

    def status(self, url, headers):
        self.asked.append((url, headers))
        return self.statuses["/" + url.partition("://")[2].partition("/")[2]]

    def query(self, project, promql):
        return next((value for part, value in self.answers.items() if part in promql), None)

    def wait(self, seconds):
        self.waited += seconds

    def say(self, text):
        self.said.append(text)

    @property
    def ups(self):
        return [command[1] for command in self.commands if command[0] == "up"]


def release(plan, world, seconds=300):
    return Release(plan, "production", world, seconds)


def test_a_good_release_comes_step_by_step(production_plan):
    world = PlayedWorld()
    release(production_plan, world).deploy("c0ffee")
    without, tenth, everything = world.ups
    assert (without["gateway.stable"], without["gateway.percent"]) == (STABLE["gateway"], "0")
    assert (tenth["gateway.percent"], tenth["control.percent"]) == ("10", "10")
    assert everything == {}
    image = world.config["sluicegate:stack.images.sluicegate"]
    assert image.endswith(f"/your-project/sluicegate-images/sluicegate@sha256:{'1' * 64}")
    # It was tried before anybody got it, and watched for as long as was asked for.
    assert all(headers == {"x-sluicegate-revision": "candidate"} for _, headers in world.asked)
    assert world.waited == 300


def test_a_release_that_does_not_answer_never_gets_traffic(production_plan):
    world = PlayedWorld(statuses={"/readyz": 503})
    with pytest.raises(ReleaseFailedError, match="/readyz answers 503, not 200"):
        release(production_plan, world).deploy("c0ffee")
    assert [up["gateway.percent"] for up in world.ups] == ["0", "0"]


def test_a_release_that_lets_anybody_in_is_taken_back(production_plan):
    with pytest.raises(ReleaseFailedError, match="/v1/models answers 200, not 401"):
        release(production_plan, PlayedWorld(statuses={"/v1/models": 200})).deploy("c0ffee")


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"5xx": 0.02}, "2.0% of the answers are errors"),
        (
            {'revision_name="sluicegate-new': 1_600.0, "revision_name!=": 1_000.0},
            "p95 is 1600 ms, 1000 ms before",
        ),
    ],
)
def test_a_release_that_does_worse_is_taken_back(production_plan, answers, said):
    world = PlayedWorld(answers={"5xx": 0.0, **answers})
    with pytest.raises(ReleaseFailedError, match=said):
        release(production_plan, world).deploy("c0ffee")
    assert [up["gateway.percent"] for up in world.ups] == ["0", "10", "0"]
    assert world.ups[-1]["gateway.stable"] == STABLE["gateway"]


def test_a_deployment_that_fails_is_taken_back(production_plan):
    class Failing(PlayedWorld):
        def run(self, *command):
            if (
                command[:2] == ("pulumi", "up")
                and self.config.get("sluicegate:stack.rollout.gateway.percent") == "10"
            ):
                raise CommandFailedError("pulumi up: quota")
            return super().run(*command)

    world = Failing()
    with pytest.raises(ReleaseFailedError, match="quota"):
        release(production_plan, world).deploy("c0ffee")
    assert [up["gateway.percent"] for up in world.ups] == ["0", "0"]


def test_the_first_release_has_nothing_to_go_back_to(production_plan):
    world = PlayedWorld(running={})
    release(production_plan, world).deploy("c0ffee")
    assert world.ups == [{}]
    assert all(headers == {} for _, headers in world.asked)


def test_going_back_is_one_step(production_plan):
    world = PlayedWorld()
    release(production_plan, world).go_back({"gateway": "sluicegate-gateway-00005-old"})
    assert world.ups == [{"gateway.stable": "sluicegate-gateway-00005-old", "gateway.percent": "0"}]
    assert world.waited == 0
