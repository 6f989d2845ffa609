"""The real Pulumi engine over a stand-in for Google's provider, which refuses what Google would refuse.

Nothing leaves this machine: the state is a folder, the provider a server on the loopback. What it shows beyond
the mocks: that the engine accepts the program, its dependencies have no cycle, and the policy pack runs.
"""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from pulumi import automation
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from conformance.stack_conformance import resource_problems
from conformance.translation import UnmappedError
from preview.recorder import ROOT, _identifier, _outputs, plain, stack_values
from program import deploy
from sluicegate.manifest import read_manifests
from stack.config import read_stack_config
from stack.plan import Plan

_LARGEST = 400 * 1024 * 1024


class StandIn(provider_pb2_grpc.ResourceProviderServicer):
    """A provider that checks inputs and makes nothing."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    def GetPluginInfo(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the protocol's
        return plugin_pb2.PluginInfo(version="10.2.0")

    def Attach(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return empty_pb2.Empty()

    def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return provider_pb2.DiffResponse()

    def Configure(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True, acceptResources=True)

    def Check(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        token = request.urn.split("::")[2].rpartition("$")[2]
        inputs = plain(rpc.deserialize_properties(request.news, keep_unknowns=False))
        inputs.pop("__defaults", None)
        self.checked.append(token)
        try:
            found = [] if _has_unknowns(request.news) else resource_problems(token, inputs)
        except UnmappedError as error:
            found = [str(error)]
        failures = [provider_pb2.CheckFailure(property="", reason=each) for each in found]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        same = request.olds == request.news
        kind = provider_pb2.DiffResponse
        return kind(changes=kind.DIFF_NONE if same else kind.DIFF_SOME)

    def Create(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        token, name = (request.urn.split("::")[place] for place in (2, 3))
        inputs = plain(rpc.deserialize_properties(request.properties, keep_unknowns=False))
        made = struct_pb2.Struct()
        made.CopyFrom(request.properties)
        made.update(_outputs(token.rpartition("$")[2], name, inputs))
        return provider_pb2.CreateResponse(
            id=_identifier(token.rpartition("$")[2], name, inputs), properties=made
        )

    def Delete(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return empty_pb2.Empty()


def _has_unknowns(properties: Any) -> bool:
    return "04da6b54-80e4-46f7-96ec-b56ff0331ba9" in str(properties)


def engine_run(stack: str, *, up: bool = False, policy_pack: Path | None = None) -> tuple[str, int]:
    """What `pulumi preview` (or `up`, into a state of its own) prints, and how many resources were checked.

    Raises:
        pulumi.automation.CommandError: the engine, the stand-in or a policy refused something.
    """
    standing = StandIn()
    options = [("grpc.max_receive_message_length", _LARGEST), ("grpc.max_send_message_length", _LARGEST)]
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(standing, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _run(stack, port, Path(folder), up=up, policy_pack=policy_pack), len(standing.checked)
    finally:
        server.stop(None)


def _run(stack: str, port: int, folder: Path, *, up: bool, policy_pack: Path | None) -> str:
    values = stack_values(stack)

    def program() -> None:
        deploy(Plan(read_stack_config(values), read_manifests(ROOT / "functions")))

    environment = {
        "PULUMI_BACKEND_URL": f"file://{folder}",
        "PULUMI_CONFIG_PASSPHRASE": "preview",
        "PULUMI_DEBUG_PROVIDERS": f"gcp:{port}",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK": "true",
        "PULUMI_HOME": str(folder / "home"),
        "PATH": os.environ.get("PATH", ""),
    }
    made = automation.create_or_select_stack(
        stack_name=stack,
        project_name="sluicegate",
        program=program,
        opts=automation.LocalWorkspaceOptions(env_vars=environment, work_dir=str(folder)),
    )
    made.set_config("sluicegate:slackToken", automation.ConfigValue("xoxb-preview", secret=True))
    packs = None if policy_pack is None else [str(policy_pack)]
    if up:
        return str(made.up(policy_packs=packs).stdout)
    return str(made.preview(policy_packs=packs).stdout)
