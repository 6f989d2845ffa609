"""Small servers that speak the published protocols of Secret Manager, Cloud KMS, Cloud Run and Monitoring.

Messages are those that ship with the client libraries; the semantics are the documented ones, as far as our
adapters lean on them: checksums, versions and their states, additional data, etags, long-running operations,
pages, filters. Everything is in memory. `faults` makes the next calls fail.
"""

import os
import re
from datetime import UTC, datetime

import grpc
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.api import metric_pb2, monitored_resource_pb2
from google.cloud import kms_v1, monitoring_v3, run_v2, secretmanager_v1
from google.longrunning import operations_pb2
from google_crc32c import value as crc32c
from grpc import StatusCode, aio

PAGE = 2


class RefusalError(Exception):
    """What a method answers instead."""

    def __init__(self, code, words=""):
        super().__init__(words)
        self.code = code


class GoogleServices:
    """All of them on one port of 127.0.0.1, which stays the same when they are stopped and started again."""

    def __init__(self):
        self.secrets, self.kms, self.run, self.monitoring = Secrets(), Kms(), Run(), Monitoring()
        self.faults = []
        self.calls = []
        self.host = "127.0.0.1:0"
        self._server = None

    async def start(self):
        # Without this, a port that is still held by a server which ended would be shared with it.
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        services = {
            "google.cloud.secretmanager.v1.SecretManagerService": (secretmanager_v1, self.secrets),
            "google.cloud.kms.v1.KeyManagementService": (kms_v1, self.kms),
            "google.cloud.run.v2.Jobs": (run_v2, self.run),
            "google.cloud.run.v2.Executions": (run_v2, self.run),
            "google.cloud.run.v2.Services": (run_v2, self.run),
            "google.monitoring.v3.MetricService": (monitoring_v3, self.monitoring),
        }
        for service, (types, target) in services.items():
            methods = {
                name: self._handler(name, getattr(types, request), getattr(target, name))
                for name, request in METHODS[service].items()
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        port = self._server.add_insecure_port(self.host)
        self.host = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self):
        """End at once, as a crash would. Harmless when repeated."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    def _handler(self, name, request_type, method):
        async def handle(request, context):
            self.calls.append(name)
            if self.faults:
                fault = self.faults.pop(0)
                if fault is not None:
                    await context.abort(fault, "as the test wants it")
            try:
                return method(request)
            except RefusalError as refusal:
                await context.abort(refusal.code, str(refusal))

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=request_type.deserialize, response_serializer=_serialize
        )


METHODS = {
    "google.cloud.secretmanager.v1.SecretManagerService": {
        "ListSecretVersions": "ListSecretVersionsRequest",
        "AccessSecretVersion": "AccessSecretVersionRequest",
        "AddSecretVersion": "AddSecretVersionRequest",
        "DisableSecretVersion": "DisableSecretVersionRequest",
    },
    "google.cloud.kms.v1.KeyManagementService": {
        "GetPublicKey": "GetPublicKeyRequest",
        "AsymmetricSign": "AsymmetricSignRequest",
        "Encrypt": "EncryptRequest",
        "Decrypt": "DecryptRequest",
    },
    "google.cloud.run.v2.Jobs": {"RunJob": "RunJobRequest"},
    "google.cloud.run.v2.Executions": {
        "GetExecution": "GetExecutionRequest",
        "CancelExecution": "CancelExecutionRequest",
    },
    "google.cloud.run.v2.Services": {
        "GetService": "GetServiceRequest",
        "UpdateService": "UpdateServiceRequest",
    },
    "google.monitoring.v3.MetricService": {"ListTimeSeries": "ListTimeSeriesRequest"},
}


class Secrets:
    """Secret Manager: secrets by full name, each a list of `[value, state]`, the first being version 1."""

    def __init__(self):
        self.secrets = {}

    def ListSecretVersions(self, request):  # noqa: N802 - the protocol's name, here and below
        versions = self._secret(request.parent)
        newest_first = [
            secretmanager_v1.SecretVersion(name=f"{request.parent}/versions/{n + 1}", state=state)
            for n, (_, state) in reversed(list(enumerate(versions)))
            if request.filter in {"", f"state:{state}"}
        ]
        start = int(request.page_token or 0)
        more = start + PAGE < len(newest_first)
        return secretmanager_v1.ListSecretVersionsResponse(
            versions=newest_first[start : start + PAGE], next_page_token=str(start + PAGE) if more else ""
        )

    def AccessSecretVersion(self, request):  # noqa: N802
        secret, _, number = request.name.partition("/versions/")
        value, state = self._version(secret, number)
        if state != "ENABLED":
            raise RefusalError(StatusCode.FAILED_PRECONDITION, f"version is {state}")
        payload = secretmanager_v1.SecretPayload(data=value, data_crc32c=crc32c(value))
        return secretmanager_v1.AccessSecretVersionResponse(name=request.name, payload=payload)

    def AddSecretVersion(self, request):  # noqa: N802
        if crc32c(request.payload.data) != request.payload.data_crc32c:
            raise RefusalError(StatusCode.INVALID_ARGUMENT, "checksum")
        versions = self._secret(request.parent)
        versions.append([request.payload.data, "ENABLED"])
        return secretmanager_v1.SecretVersion(
            name=f"{request.parent}/versions/{len(versions)}", state="ENABLED"
        )

    def DisableSecretVersion(self, request):  # noqa: N802
        secret, _, number = request.name.partition("/versions/")
        self._version(secret, number)[1] = "DISABLED"
        return secretmanager_v1.SecretVersion(name=request.name, state="DISABLED")

    def _secret(self, name):
        if name not in self.secrets:
            raise RefusalError(StatusCode.NOT_FOUND, name)
        return self.secrets[name]

    def _version(self, secret, number):
        versions = self._secret(secret)
        if not number.isdigit() or not 0 < int(number) <= len(versions):
            raise RefusalError(StatusCode.NOT_FOUND, number)
        return versions[int(number) - 1]


class Kms:
    """Cloud KMS: keys are made when they are first named; those with `p256` in their name are no Ed25519."""

    def __init__(self):
        self.signing, self.wrapping = {}, {}
        self.spoil = None
        """The name of an answer's field that is changed on the way."""

    def GetPublicKey(self, request):  # noqa: N802
        pem = (
            self._signer(request.name)
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        algorithm = "EC_SIGN_P256_SHA256" if "p256" in request.name else "EC_SIGN_ED25519"
        return self._spoiled(
            kms_v1.PublicKey(name=request.name, pem=pem, pem_crc32c=crc32c(pem.encode()), algorithm=algorithm)
        )

    def AsymmetricSign(self, request):  # noqa: N802
        if request.digest:
            raise RefusalError(StatusCode.INVALID_ARGUMENT, "EC_SIGN_ED25519 takes data, no digest")
        signature = self._signer(request.name).sign(request.data)
        return self._spoiled(
            kms_v1.AsymmetricSignResponse(
                name=request.name,
                signature=signature,
                signature_crc32c=crc32c(signature),
                verified_data_crc32c=request.data_crc32c == crc32c(request.data),
            )
        )

    def Encrypt(self, request):  # noqa: N802
        nonce = os.urandom(12)
        cipher = self._cipher(request.name)
        wrapped = nonce + cipher.encrypt(
            nonce, request.plaintext, request.additional_authenticated_data or None
        )
        additional = request.additional_authenticated_data
        return self._spoiled(
            kms_v1.EncryptResponse(
                name=f"{request.name}/cryptoKeyVersions/1",
                ciphertext=wrapped,
                ciphertext_crc32c=crc32c(wrapped),
                verified_plaintext_crc32c=request.plaintext_crc32c == crc32c(request.plaintext),
                verified_additional_authenticated_data_crc32c=(
                    request.additional_authenticated_data_crc32c == crc32c(additional)
                ),
            )
        )

    def Decrypt(self, request):  # noqa: N802
        if request.ciphertext_crc32c != crc32c(request.ciphertext):
            raise RefusalError(StatusCode.INVALID_ARGUMENT, "checksum")
        cipher, wrapped = self._cipher(request.name), request.ciphertext
        try:
            plain = cipher.decrypt(wrapped[:12], wrapped[12:], request.additional_authenticated_data or None)
        except (InvalidTag, ValueError):
            raise RefusalError(StatusCode.INVALID_ARGUMENT, "Decryption failed") from None
        return self._spoiled(kms_v1.DecryptResponse(plaintext=plain, plaintext_crc32c=crc32c(plain)))

    def _signer(self, name):
        if not re.fullmatch(r"projects/.+/cryptoKeys/[^/]+/cryptoKeyVersions/\d+", name):
            raise RefusalError(StatusCode.INVALID_ARGUMENT, name)
        made = generate_private_key(SECP256R1()) if "p256" in name else Ed25519PrivateKey.generate()
        return self.signing.setdefault(name, made)

    def _cipher(self, name):
        if not re.fullmatch(r"projects/.+/cryptoKeys/[^/]+", name):
            raise RefusalError(StatusCode.INVALID_ARGUMENT, name)
        return self.wrapping.setdefault(name, AESGCM(AESGCM.generate_key(256)))

    def _spoiled(self, answer):
        if self.spoil is not None:
            value = getattr(answer, self.spoil)
            other = {bool: lambda: not value, int: lambda: value + 1, bytes: lambda: value[:-1] + b"?"}
            setattr(answer, self.spoil, other.get(type(value), lambda: value + "?")())
        return answer


class Run:
    """Cloud Run: jobs by full name, each a list of the overrides it was run with; services; executions."""

    def __init__(self):
        self.jobs, self.executions, self.services = {}, {}, {}
        self.meanwhile = None
        """Called before an update, once: somebody else changes the service."""

    def add_service(self, name, least, most):
        scaling = run_v2.ServiceScaling(min_instance_count=least, max_instance_count=most)
        self.services[name] = run_v2.Service(name=name, scaling=scaling, etag='"1"')

    def RunJob(self, request):  # noqa: N802
        if request.name not in self.jobs:
            raise RefusalError(StatusCode.NOT_FOUND, request.name)
        self.jobs[request.name].append(request.overrides)
        name = f"{request.name}/executions/e{len(self.executions)}"
        execution = run_v2.Execution(name=name, task_count=request.overrides.task_count or 1)
        execution.running_count = execution.task_count
        self.executions[name] = execution
        operation = operations_pb2.Operation(name=f"{request.name}/operations/1")
        operation.metadata.Pack(run_v2.Execution.pb(execution))
        return operation

    def GetExecution(self, request):  # noqa: N802
        if request.name not in self.executions:
            raise RefusalError(StatusCode.NOT_FOUND, request.name)
        return self.executions[request.name]

    def CancelExecution(self, request):  # noqa: N802
        execution = self.GetExecution(request)
        execution.cancelled_count, execution.running_count = execution.running_count, 0
        execution.completion_time = datetime.now(UTC)
        return operations_pb2.Operation(name=f"{request.name}/operations/1")

    def GetService(self, request):  # noqa: N802
        if request.name not in self.services:
            raise RefusalError(StatusCode.NOT_FOUND, request.name)
        return self.services[request.name]

    def UpdateService(self, request):  # noqa: N802
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        service = self.services[request.service.name]
        if request.service.etag not in {"", service.etag}:
            raise RefusalError(
                StatusCode.ABORTED if "!" in service.etag else StatusCode.FAILED_PRECONDITION, "etag"
            )
        for path in request.update_mask.paths:
            field = path.removeprefix("scaling.")
            setattr(service.scaling, field, getattr(request.service.scaling, field))
        service.etag = f'"{os.urandom(4).hex()}"'
        return operations_pb2.Operation(name=f"{request.service.name}/operations/1")


class Monitoring:
    """Monitoring: series that a test adds, in pages; filters of equalities joined by AND; no aggregation."""

    def __init__(self):
        self.series = []
        self.requests = []

    def add(self, metric, labels, points, *, kind="int64_value"):
        """A series of `points`, (epoch seconds, value), with `labels` of its resource."""
        self.series.append(
            monitoring_v3.TimeSeries(
                metric=metric_pb2.Metric(type=metric),
                resource=monitored_resource_pb2.MonitoredResource(type="any", labels=labels),
                points=[
                    {"interval": {"end_time": {"seconds": int(at)}}, "value": {kind: value}}
                    for at, value in reversed(points)
                ],
            )
        )

    def ListTimeSeries(self, request):  # noqa: N802
        self.requests.append(request)
        wanted = dict(re.findall(r'(\S+) = "([^"]*)"', request.filter))
        start, end = (each.timestamp() for each in (request.interval.start_time, request.interval.end_time))
        found = []
        for series in self.series:
            facts = {"metric.type": series.metric.type}
            facts.update({f"resource.labels.{key}": value for key, value in series.resource.labels.items()})
            if not wanted.items() <= facts.items():
                continue
            some = monitoring_v3.TimeSeries(series)
            some.points = [
                each for each in series.points if start < each.interval.end_time.timestamp() <= end
            ]
            if some.points:
                found.append(some)
        first = int(request.page_token or 0)
        more = first + PAGE < len(found)
        return monitoring_v3.ListTimeSeriesResponse(
            time_series=found[first : first + PAGE], next_page_token=str(first + PAGE) if more else ""
        )


def _serialize(message):
    return (
        message.SerializeToString()
        if hasattr(message, "SerializeToString")
        else type(message).serialize(message)
    )
