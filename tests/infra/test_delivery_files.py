"""The image, the build and the workflows, as far as can be told without running them."""

import re

import pytest
import yaml

from preview.recorder import ROOT, run
from stack.inventory import SERVICES

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
BASES = ("BUILD_IMAGE", "RUNTIME_IMAGE")


def test_the_image_is_made_from_digests_and_runs_as_nobody():
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    assert [line.split()[1] for line in lines if line.startswith("FROM")] == [
        f"${{{each}}}" for each in BASES
    ]
    assert "USER 65532:65532" in lines
    assert "ENTRYPOINT []" in lines
    assert any("--require-hashes" in line for line in lines)
    build = yaml.safe_load((ROOT / "cloudbuild.yaml").read_text("utf-8"))
    for base in BASES:
        assert re.search(r"@sha256:[0-9a-f]{64}$", build["substitutions"][f"_{base}"])
        assert f"--build-arg={base}=${{_{base}}}" in build["steps"][0]["args"]
    assert build["options"]["requestedVerifyOption"] == "VERIFIED"


def test_nothing_is_in_the_image_unless_it_is_named():
    lines = [
        each for each in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if not each.startswith("#")
    ]
    assert lines[0] == "*"
    assert {each for each in lines if each.startswith("!")} == {
        "!requirements/runtime.lock",
        "!shared",
        "!functions",
    }


@pytest.mark.parametrize("path", WORKFLOWS, ids=[each.stem for each in WORKFLOWS])
def test_workflows_use_actions_by_commit_and_hold_no_key(path):
    text = path.read_text("utf-8")
    content = yaml.safe_load(text)
    used = re.findall(r"uses: (\S+)", text)
    assert used or path.stem == "none"
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
    assert content["permissions"].get("contents") == "read"
    assert "secrets[" not in text
    assert not re.search(r"\$\{\{[^}]*secrets", text)
    assert "credentials_json" not in text


def test_the_daily_scan_looks_at_dependencies_code_and_secrets():
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "security.yml").read_text("utf-8"))
    assert set(content["jobs"]) == {"dependencies", "code", "secrets"}
    (schedule,) = content[True]["schedule"]  # `on` is true in YAML 1.1
    assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule["cron"])


def test_children_wait_for_what_their_component_waits_for(production_plan):
    import pulumi
    from pulumi_gcp import projects

    from components.base import Component

    found = []

    def program():
        service = projects.Service("x", service="run.googleapis.com")
        component = Component("Any", "any", production_plan, pulumi.ResourceOptions(depends_on=[service]))
        other = projects.Service("y", service="redis.googleapis.com")
        made = (component.child, component.after(other), component.stateful(other))
        found.extend((service in options.depends_on, options.protect) for options in made)

    run(program)
    assert found == [(True, None), (True, None), (True, True)]


def test_every_service_that_is_used_is_switched_on(production):
    used = {each.type.partition(":")[2].partition("/")[0] for each in production.resources}
    names = {
        "cloudrunv2": "run", "kms": "cloudkms", "billing": "billingbudgets", "serviceaccount": "iam",
        "projects": "cloudresourcemanager",
    }  # fmt: skip
    assert {names.get(each, each) for each in used} <= set(SERVICES)
