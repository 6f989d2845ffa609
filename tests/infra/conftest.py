import asyncio
import json
import sys
from concurrent.futures import ThreadPoolExecutor
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
    """Runs a program against a recording cloud; the record.

    On threads of its own, all of whose event loops are closed in the end: Pulumi makes one in each thread
    that it comes to, and leaves it behind.
    """

    def run(program, stack=None):
        loops = []

        def enter():
            loops.append(asyncio.new_event_loop())
            asyncio.set_event_loop(loops[-1])

        def work():
            with ThreadPoolExecutor(4, initializer=enter) as executor:
                asyncio.get_event_loop().set_default_executor(executor)
                return _run(program, stack)

        try:
            with ThreadPoolExecutor(1, initializer=enter) as thread:
                return thread.submit(work).result()
        finally:
            for loop in loops:
                loop.close()

    return run


def _run(program, stack):
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder, project="sluicegate", stack="dev", preview=False)
    pulumi.runtime.set_all_config({} if stack is None else {"sluicegate:stack": json.dumps(stack)})
    pulumi.runtime.test(program)()
    return recorder
