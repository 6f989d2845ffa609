"""The Pulumi program: the gateway, from its manifest and the stack's configuration."""

from pathlib import Path

import pulumi

from gateway_service import GatewayService
from sluicegate.manifest import read_manifest
from stack_config import StackConfigurationError, read_stack_config

FUNCTIONS = Path(__file__).resolve().parents[1] / "functions"

try:
    config = read_stack_config(pulumi.Config("sluicegate").require_object("stack"))
    gateway = GatewayService("gateway", read_manifest(FUNCTIONS / "gateway" / "function.toml"), config)
except StackConfigurationError as error:
    raise pulumi.RunError(str(error)) from None

pulumi.export("gateway", gateway.service.name)
pulumi.export("account", gateway.account.email)
