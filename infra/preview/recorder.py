"""Runs the program against Pulumi's mocks: a cloud that says yes and remembers what it was asked for."""

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml

from program import deploy
from sluicegate.manifest import Manifest, read_manifests
from stack.config import StackConfig, read_stack_config
from stack.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
STACKS = ("dev", "staging", "production")


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource that the program declares: its type token, its name in the stack, its inputs."""

    type: str
    name: str
    inputs: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The last part of the type: `Bucket` of `gcp:storage/bucket:Bucket`."""
        return self.type.rpartition(":")[2]


@dataclass
class Record(pulumi.runtime.Mocks):
    """What the program declared, in the order of declaration; components left out."""

    resources: list[Resource] = field(default_factory=list)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        if not args.typ.startswith("gcp:"):
            return f"{args.name}-id", dict(args.inputs)
        inputs = plain(args.inputs)
        self.resources.append(Resource(args.typ, args.name, inputs))
        return _identifier(args.typ, args.name, inputs), {
            **args.inputs,
            **_outputs(args.typ, args.name, inputs),
        }

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise NotImplementedError(
            f"{args.token}: the program looks nothing up, so that it runs without a cloud"
        )

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        """The inputs of all resources of `kind`, the last part of the type."""
        return [each.inputs for each in self.resources if each.kind == kind]

    def named(self, kind: str, name: str) -> Mapping[str, Any]:
        """The inputs of the one resource of `kind` that is called `name` in the stack."""
        (found,) = [each.inputs for each in self.resources if (each.kind, each.name) == (kind, name)]
        return found


def plain(value: Any) -> Any:
    """`value` with whole numbers as such: Pulumi's wire has floats only. Secrets are marked, not shown."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def stack_values(stack: str, root: Path = ROOT) -> dict[str, Any]:
    """`sluicegate:stack` of Pulumi.<stack>.yaml."""
    read = yaml.safe_load((root / f"Pulumi.{stack}.yaml").read_text("utf-8"))
    found: dict[str, Any] = read["config"]["sluicegate:stack"]
    return found


def stack_config(stack: str) -> StackConfig:
    """The configuration of `stack`, checked.

    Raises:
        StackConfigurationError: it is wrong.
    """
    return read_stack_config(stack_values(stack))


def stack_plan(stack: str, manifests: tuple[Manifest, ...] | None = None) -> Plan:
    """The plan of `stack`, of the functions there are unless `manifests` are given."""
    return Plan(stack_config(stack), manifests or read_manifests(ROOT / "functions"))


def record(plan: Plan) -> Record:
    """What the program declares for `plan`."""
    return run(lambda: deploy(plan))


def run(program: Callable[[], object], values: Mapping[str, Any] | None = None) -> Record:
    """What `program` declares, given the configuration `values`.

    On threads of its own, all of whose event loops are closed in the end: Pulumi makes one in each thread
    that it comes to, and leaves it behind.
    """
    loops: list[asyncio.AbstractEventLoop] = []

    def enter() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    def work() -> Record:
        with ThreadPoolExecutor(4, initializer=enter) as executor:
            asyncio.get_event_loop().set_default_executor(executor)
            return _run(program, values)

    try:
        with ThreadPoolExecutor(1, initializer=enter) as thread:
            return thread.submit(work).result()
    finally:
        for loop in loops:
            loop.close()


def _run(program: Callable[[], object], values: Mapping[str, Any] | None) -> Record:
    found = Record()
    pulumi.runtime.set_mocks(found, project="sluicegate", stack="preview", preview=False)
    config = {"sluicegate:slackToken": "xoxb-preview"}
    if values is not None:
        config["sluicegate:stack"] = json.dumps(values)
    pulumi.runtime.set_all_config(config)
    pulumi.runtime.test(program)()  # type: ignore[no-untyped-call] # Pulumi's own has no types
    return found


def _identifier(token: str, name: str, inputs: Mapping[str, Any]) -> str:
    """Where Google would have put it, so that what refers to it reads as it would."""
    project, own = inputs.get("project", "-"), inputs.get("name", name)
    where = inputs.get("location", inputs.get("region", "-"))
    forms = {
        "Topic": f"projects/{project}/topics/{own}",
        "Subscription": f"projects/{project}/subscriptions/{own}",
        "Schema": f"projects/{project}/schemas/{own}",
        "Secret": f"projects/{project}/secrets/{inputs.get('secretId')}",
        "KeyRing": f"projects/{project}/locations/{where}/keyRings/{own}",
        "CryptoKey": f"{inputs.get('keyRing')}/cryptoKeys/{own}",
        "Network": f"projects/{project}/global/networks/{own}",
        "Subnetwork": f"projects/{project}/regions/{where}/subnetworks/{own}",
        "Account": f"projects/{project}/serviceAccounts/{inputs.get('accountId')}",
        "ProjectBucketConfig": f"projects/{project}/locations/{where}/buckets/{inputs.get('bucketId')}",
        "IAMCustomRole": f"projects/{project}/roles/{inputs.get('roleId')}",
        "NotificationChannel": f"projects/{project}/notificationChannels/{name}",
    }
    kind = token.rpartition(":")[2]
    return forms.get(kind, f"projects/{project}/{kind.lower()}s/{own}")


def _outputs(token: str, name: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
    project = inputs.get("project", "-")
    made: dict[str, Any] = {"name": inputs.get("name", name)}
    match token.rpartition(":")[2]:
        case "Account":
            email = f"{inputs['accountId']}@{project}.iam.gserviceaccount.com"
            made |= {"email": email, "name": f"projects/{project}/serviceAccounts/{email}"}
        case "IAMCustomRole":
            made["name"] = f"projects/{project}/roles/{inputs['roleId']}"
        case "Service" if token.startswith("gcp:cloudrunv2"):
            made["uri"] = f"https://{inputs['name']}-preview.a.run.app"
        case "Instance":
            made |= {"host": "10.64.0.3", "port": 6378, "authString": "preview"}
            made["serverCaCerts"] = [{"cert": "preview"}]
        case "Cluster":
            made["discoveryEndpoints"] = [{"address": "10.20.0.9", "port": 6379}]
            made["managedServerCas"] = [{"caCerts": [{"certificates": ["preview"]}]}]
        case "GlobalAddress":
            made["address"] = inputs.get("address", "203.0.113.7")
        case "WorkloadIdentityPool":
            pool = inputs["workloadIdentityPoolId"]
            made["name"] = f"projects/{project}/locations/global/workloadIdentityPools/{pool}"
        case _:
            pass
    return made
