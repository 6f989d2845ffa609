import runpy
from pathlib import Path

import pulumi
import pytest

from preview.recorder import ROOT, STACKS, run, stack_plan, stack_values
from stack.inventory import BUCKETS, KEYS, TOPICS

PROGRAM = str(ROOT / "infra" / "__main__.py")


def test_it_is_short():
    assert len(Path(PROGRAM).read_text("utf-8").splitlines()) <= 40


# Pulumi's own, where a mocked stack registers its outputs.
@pytest.mark.filterwarnings("ignore:NotImplemented should not be used:DeprecationWarning")
@pytest.mark.parametrize("stack", STACKS)
def test_the_program_itself_deploys_each_stack(stack):
    record = run(lambda: runpy.run_path(PROGRAM), stack_values(stack))
    services = {each["name"] for each in record.of("Service") if "template" in each}
    assert services == {f"sluicegate-{each.name}" for each in stack_plan(stack).services}


def test_the_program_says_what_is_wrong_without_a_trace():
    with pytest.raises(pulumi.RunError, match=r"sluicegate:stack\.region"):
        run(lambda: runpy.run_path(PROGRAM), {**stack_values("dev"), "region": "x"})


def test_without_images_only_foundations_are_made(replan, deploy):
    record = deploy(replan(images=None))
    assert not [each for each in record.resources if each.type.startswith("gcp:cloudrunv2")]
    assert not record.of("BackendService")
    assert len(record.of("Secret")) >= 3
    assert len(record.of("Repository")) == 1
    assert [each["bucketId"] for each in record.of("ProjectBucketConfig")] == ["sluicegate-logs"]


def test_everything_of_the_inventory_is_there(record):
    assert {each["name"].rpartition("-sluicegate-")[2] for each in record.of("Bucket")} == set(BUCKETS)
    assert {each["name"] for each in record.of("CryptoKey")} == set(KEYS)
    assert {each["name"].removeprefix("sluicegate-") for each in record.of("Topic")} >= set(TOPICS)


def test_names_do_not_change_with_the_run(production_plan, deploy, production):
    again = deploy(production_plan)
    assert [(each.type, each.name) for each in sorted(again.resources, key=str)] == [
        (each.type, each.name) for each in sorted(production.resources, key=str)
    ]


def test_no_two_things_have_one_name(record):
    seen = [(each.type, each.name) for each in record.resources]
    assert len(seen) == len(set(seen))


def test_environments_differ_in_the_table_alone(record, plan):
    figures = plan.figures
    assert len(record.of("BackupSchedule")) == bool(figures.backup_days)
    (database,) = record.of("Database")
    assert database["deleteProtectionState"].endswith("ENABLED" if figures.protected else "DISABLED")
    gateway = record.named("Service", "service-gateway")["template"]["scaling"]
    assert gateway["minInstanceCount"] == figures.hot_instances
    assert gateway["maxInstanceCount"] == min(100, figures.most_instances)
    assert len(record.of("Cluster")) == (plan.config.environment == "production")
