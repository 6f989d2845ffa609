"""What of Google's services, and of Pinecone, is reachable and permitted."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from pydantic import SecretStr

from sluicegate import settings
from sluicegate.adapters.gcp.errors import AbsentError, ForbiddenError
from sluicegate.adapters.vectors.pinecone import PineconeVectors
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import SluicegateError
from sluicegate.wiring.events import GROUPS
from sluicegate.wiring.findings import Finding
from sluicegate.wiring.google import LOG_BUCKETS, Google

Check = tuple[str, Callable[[], Awaitable[Sequence[Finding]]]]

_NOTHING = "sluicegate-doctor"
_METRIC = "run.googleapis.com/request_count"


def google_checks(clock: Clock) -> Sequence[Check]:
    """Checks by name; of services that are not set up, one that says so."""
    config: settings.GoogleSettings = settings.load(settings.GoogleSettings)
    checks: list[Check] = [("pinecone", lambda: _pinecone(config))]
    if config.gcp_project_id is None:
        return [("google", _unused), *checks]
    return [("google", lambda: _google(config, clock)), *checks]


async def _unused() -> Sequence[Finding]:
    return [Finding("google", "unused", "GCP_PROJECT_ID is not set")]


async def _google(config: settings.GoogleSettings, clock: Clock) -> Sequence[Finding]:
    google = Google(config, clock)
    bus = google.bus(GROUPS)

    async def secrets() -> None:
        source = google.secrets()
        try:
            await source.value("REDIS_URL")
        finally:
            await source.close()

    async def monitoring() -> None:
        await google.monitoring().read(_METRIC, clock.now() - 300, clock.now())

    buckets = [google.bucket(purpose) for purpose in (*LOG_BUCKETS, "cache")]
    checks: list[tuple[str, str, Callable[[], Awaitable[object]]]] = [
        ("Pub/Sub", "roles/pubsub.viewer", bus.check),
        *(
            (f"bucket {each.name}", "roles/storage.objectViewer", partial(each.list, _NOTHING))
            for each in buckets
        ),
        ("Secret Manager", "roles/secretmanager.secretAccessor", secrets),
        ("Cloud KMS", "roles/cloudkms.signerVerifier", google.log_signer().load),
        ("Cloud Monitoring", "roles/monitoring.viewer", monitoring),
    ]
    try:
        return [await _asked(google.project, *check) for check in checks]
    finally:
        await bus.close()
        await google.close()


async def _asked(project: str, about: str, role: str, ask: Callable[[], Awaitable[object]]) -> Finding:
    try:
        await ask()
    except AbsentError as error:
        return Finding(about, "wrong", error.message, "pulumi up")
    except ForbiddenError as error:
        mend = (
            f"gcloud projects add-iam-policy-binding {project} --role {role} "
            "--member serviceAccount:ACCOUNT, or pulumi up"
        )
        return Finding(about, "wrong", error.message, mend)
    except SluicegateError as error:
        login = "credentials" in error.message
        services = f"gcloud services list --project {project}"
        return Finding(
            about, "wrong", error.message, "gcloud auth application-default login" if login else services
        )
    return Finding(about, "ok", "reachable and permitted")


async def _pinecone(config: settings.GoogleSettings) -> Sequence[Finding]:
    key, host = config.pinecone_api_key, config.pinecone_index_host
    if key is None and host is None:
        return [Finding("pinecone", "unused", "PINECONE_API_KEY is not set")]
    if key is None or host is None:
        missing = "PINECONE_API_KEY" if key is None else "PINECONE_INDEX_HOST"
        return [Finding("pinecone", "wrong", f"{missing} is not set", f"set {missing}")]

    async def given() -> SecretStr:
        return key

    vectors = PineconeVectors(host, given)
    try:
        await vectors.drop("doctor", [_NOTHING])
    except SluicegateError as error:
        return [
            Finding("pinecone", "wrong", error.message, "compare PINECONE_API_KEY and PINECONE_INDEX_HOST")
        ]
    finally:
        await vectors.close()
    return [Finding("pinecone", "ok", "answers, and takes our key")]
