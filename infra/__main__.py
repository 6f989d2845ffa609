"""The Pulumi program: one stack, from its configuration and the functions' manifests."""

from pathlib import Path

import pulumi

from program import deploy
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.manifest import read_manifests
from stack.config import StackConfigurationError, read_stack_config
from stack.plan import Plan

FUNCTIONS = Path(__file__).resolve().parents[1] / "functions"

try:
    config = read_stack_config(pulumi.Config("sluicegate").require_object("stack"))
    deploy(Plan(config, read_manifests(FUNCTIONS)))
except (StackConfigurationError, ConfigurationError) as error:
    raise pulumi.RunError(str(error)) from None
