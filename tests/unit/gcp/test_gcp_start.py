"""Google's libraries take long to load: nothing does before the first use."""

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import sluicegate.adapters.gcp
import sluicegate.adapters.vectors

SHARED = Path(sluicegate.adapters.gcp.__file__).parents[3]
MODULES = [
    "sluicegate.wiring.google",
    "sluicegate.web.events.endpoint",
    *(
        module.name
        for package in (sluicegate.adapters.gcp, sluicegate.adapters.vectors)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    ),
]


@pytest.fixture(scope="module")
def loaded():
    script = (
        f"import json, sys\nfor each in {MODULES}: __import__(each)\nprint(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(SHARED)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "name",
    [
        "google.api_core",
        "google.auth",
        "google.protobuf",
        "google.pubsub_v1",
        "grpc",
        "pinecone",
        "requests",
        "jwt",
    ],
)
def test_no_library_is_loaded_before_its_first_use(loaded, name):
    assert not [each for each in loaded if each == name or each.startswith(f"{name}.")]
