import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pulumi = pytest.importorskip("pulumi", reason="pulumi is not installed")
sys.path.insert(0, str(ROOT / "infra"))  # as Pulumi does


@dataclass
class Recorder(pulumi.runtime.Mocks):
    """A cloud that says yes and remembers what it was asked for."""

    resources: list[tuple[str, str, dict]] = field(default_factory=list)

    def new_resource(self, args):
        self.resources.append((args.typ, args.name, args.inputs))
        outputs = dict(args.inputs)
        if args.typ == "gcp:serviceaccount/account:Account":
            outputs["email"] = f"{args.inputs['accountId']}@{args.inputs['project']}.iam.gserviceaccount.com"
        return f"{args.name}-id", outputs

    def call(self, args):
        return {}

    def of(self, kind):
        """The inputs of all resources whose type ends in `kind`."""
        return [inputs for typ, _, inputs in self.resources if typ.endswith(f":{kind}")]


@pytest.fixture
def deploy():
    """Runs a program against a recording cloud; the record."""

    def run(program):
        recorder = Recorder()
        pulumi.runtime.set_mocks(recorder, project="sluicegate", stack="dev", preview=False)
        pulumi.runtime.test(program)()
        return recorder

    return run
