"""Events pushed by Pub/Sub and Eventarc: who may, in which forms, and what becomes of them."""

import asyncio
import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sluicegate.events.policy import DeliveryPolicy
from sluicegate.identity.key_sets import KeySet
from sluicegate.identity.policy import TokenPolicy
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import USAGE_RECORDED, Event, EventFailure
from sluicegate.web.asgi import as_asgi
from sluicegate.web.events.endpoint import MOST_BYTES, PushEndpoint, PushGroup
from sluicegate.web.events.pushed import MESSAGE_PUBLISHED
from sluicegate.web.events.tokens import PushTokens

AUDIENCE = "https://audit-1.run.app"
ACCOUNT = "deliverer@p.iam.gserviceaccount.com"
EVENT = Event("e1", "gateway", USAGE_RECORDED, 1_767_225_600.0, "acme", "r1", {"n": 1, "text": "ü"})
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(key, kid):
    return {
        **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())),
        "kid": kid,
        "use": "sig",
        "alg": "RS256",
    }


class Google:
    """Google's keys as they are published, counting how often they are asked for."""

    def __init__(self):
        self.keys, self.asked, self.away = [jwk(KEY, "k1")], 0, False

    async def fetch(self):
        self.asked += 1
        if self.away:
            raise OSError("away")
        return json.dumps({"keys": self.keys}).encode()


class Ledger:
    """Applies events, or fails as it is told."""

    def __init__(self):
        self.seen, self.failure = [], None

    async def handle(self, events):
        self.seen += events
        if isinstance(self.failure, Exception):
            raise self.failure
        return () if self.failure is None else [self.failure]


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture
def google():
    return Google()


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def buried():
    return []


@pytest.fixture
def endpoint(google, ledger, clock, buried):
    async def bury(group, delivery, reason):
        buried.append((group, delivery.tenant, delivery.body, delivery.origin, delivery.attempt, reason))

    keys = KeySet(google.fetch, TokenPolicy(refresh_s=300, unknown_key_every_s=30), clock)
    tokens = PushTokens(keys, AUDIENCE, [ACCOUNT], clock)
    return PushEndpoint(tokens, [PushGroup("ledger", ledger)], DeliveryPolicy(), bury, clock)


def token(clock, key=KEY, kid="k1", algorithm="RS256", **changes):
    claims = {
        "iss": "https://accounts.google.com", "aud": AUDIENCE, "email": ACCOUNT, "email_verified": True,
        "iat": clock.now(), "exp": clock.now() + 3_600, "sub": "1", **changes,
    }  # fmt: skip
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, headers={"kid": kid})


async def push(endpoint, body, headers=(), *, authorization=None, method="POST"):
    """The status of the answer."""
    lines = [(name.encode(), str(value).encode()) for name, value in dict(headers).items()]
    if authorization is not None:
        lines.append((b"authorization", authorization.encode()))
    scope = {
        "type": "http", "method": method, "path": "/events", "query_string": b"", "headers": lines,
        "client": ("10.0.0.1", 1),
    }  # fmt: skip
    sent = []
    first = [{"type": "http.request", "body": body}]

    async def receive():
        if not first:
            await asyncio.Event().wait()
        return first.pop()

    async def send(message):
        sent.append(message)

    await as_asgi(endpoint)(scope, receive, send)
    return sent[0]["status"]


def enveloped(data=None, attributes=None, **more):
    attributes = attributes if attributes is not None else {"content-type": "application/cloudevents+json"}
    message = {
        "data": base64.b64encode(EVENT.to_json() if data is None else data).decode(),
        "attributes": attributes,
        "messageId": "1", "publishTime": "2026-01-01T00:00:00.5Z",
    }  # fmt: skip
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s", **more}).encode()


JSON = {"content-type": "application/json"}
BINARY = {
    "ce-specversion": "1.0", "ce-id": "e1", "ce-source": "gateway", "ce-type": USAGE_RECORDED,
    "ce-time": "2026-01-01T00:00:00Z", "ce-subject": "r1", "ce-tenant": "acme",
    "content-type": "application/json",
}  # fmt: skip
DATA = json.dumps(EVENT.data, ensure_ascii=False).encode()
SCHEMA_FORM = {**json.loads(EVENT.to_json()), "data_base64": base64.b64encode(DATA).decode()}
del SCHEMA_FORM["data"]
PUBLISHED = {**BINARY, "ce-type": MESSAGE_PUBLISHED, "ce-id": "outer"}
UNWRAPPED = {"x-goog-pubsub-message-id": "1", "x-goog-pubsub-publish-time": "2026-01-01T00:00:00Z"}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param(JSON, enveloped(), id="envelope, structured"),
        pytest.param(JSON, enveloped(DATA, BINARY), id="envelope, binary"),
        pytest.param(JSON, enveloped(json.dumps(SCHEMA_FORM).encode()), id="envelope, as the schema has it"),
        pytest.param(
            {**UNWRAPPED, **STRUCTURED, "tenant": "acme"}, EVENT.to_json(), id="unwrapped, structured"
        ),
        pytest.param({**UNWRAPPED, **BINARY}, DATA, id="unwrapped, binary"),
        pytest.param(STRUCTURED, EVENT.to_json(), id="structured"),
        pytest.param(BINARY, DATA, id="binary"),
        pytest.param({**BINARY, "ce-subject": "r%31"}, DATA, id="binary, percent-encoded"),
        pytest.param(PUBLISHED, enveloped(), id="eventarc"),
        pytest.param(
            {"content-type": "application/cloudevents-batch+json"}, b"[%s]" % EVENT.to_json(), id="batched"
        ),
    ],
)
async def test_every_form_comes_to_the_same_event(endpoint, ledger, buried, clock, headers, body):
    assert await push(endpoint, body, headers, authorization=f"Bearer {token(clock)}") == 204
    assert ledger.seen == [EVENT]
    assert buried == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"message": 5}', b'{"message": {"data": "?"}}'])
async def test_an_envelope_that_cannot_be_read_is_the_callers(endpoint, clock, body):
    assert await push(endpoint, body, JSON, authorization=f"bearer {token(clock)}") == 400


async def test_too_large_is_refused_and_only_post_is_taken(endpoint, clock):
    authorization = f"Bearer {token(clock)}"
    assert await push(endpoint, b"x" * (MOST_BYTES + 1), JSON, authorization=authorization) == 413
    assert await push(endpoint, b"", JSON, authorization=authorization, method="GET") == 405


# --- who pushes


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 204),
        ({"iss": "accounts.google.com"}, 204),
        ({"iss": "https://accounts.google.com.evil.example"}, 401),
        ({"iss": None}, 401),
        ({"aud": "https://audit-2.run.app"}, 401),
        ({"aud": [AUDIENCE]}, 401),
        ({"exp": 1_767_225_600.0 - 61}, 401),
        ({"exp": None}, 401),
        ({"iat": 1_767_225_600.0 + 61, "exp": 1_767_225_600.0 + 300}, 401),
        ({"iat": True}, 401),
        ({"exp": 1_767_225_600.0 + 90_000}, 401),
        ({"email": "somebody@p.iam.gserviceaccount.com"}, 403),
        ({"email": None}, 403),
        ({"email_verified": False}, 403),
        ({"email_verified": "true"}, 403),
        ({"kid": "k2"}, 401),
        ({"key": OTHER_KEY}, 401),
        ({"key": "x" * 32, "algorithm": "HS256"}, 401),
    ],
)
async def test_only_googles_token_for_this_service_of_an_account_that_may_push(
    endpoint, ledger, clock, changes, status
):
    assert (
        await push(endpoint, enveloped(), JSON, authorization=f"Bearer {token(clock, **changes)}") == status
    )
    assert len(ledger.seen) == (status == 204)


@pytest.mark.parametrize("authorization", [None, "", "Basic x", "Bearer", "Bearer a.b.c", "Bearer \xff"])
async def test_without_a_token_nothing_is_read(endpoint, ledger, authorization):
    assert await push(endpoint, enveloped(), JSON, authorization=authorization) == 401
    assert ledger.seen == []


async def test_an_unsigned_token_is_none(endpoint, ledger, clock):
    claims = jwt.decode(token(clock), options={"verify_signature": False})
    unsigned = jwt.encode(claims, None, "none", headers={"kid": "k1"})
    assert await push(endpoint, enveloped(), JSON, authorization=f"Bearer {unsigned}") == 401
    assert ledger.seen == []


async def test_googles_keys_are_kept_and_new_ones_are_heard_of(endpoint, google, clock):
    for _ in range(5):
        assert await push(endpoint, enveloped(), JSON, authorization=f"Bearer {token(clock)}") == 204
    assert google.asked == 1
    google.keys.append(jwk(OTHER_KEY, "k2"))
    clock.advance(31)
    new = token(clock, OTHER_KEY, "k2")
    assert await push(endpoint, enveloped(), JSON, authorization=f"Bearer {new}") == 204
    google.away = True
    clock.advance(301)
    assert await push(endpoint, enveloped(), JSON, authorization=f"Bearer {token(clock)}") == 204


async def test_without_any_key_it_is_pushed_again(endpoint, google, clock):
    google.away = True
    assert await push(endpoint, enveloped(), JSON, authorization=f"Bearer {token(clock)}") == 503


# --- what becomes of them


async def test_what_fails_is_pushed_again_until_it_was_tried_often_enough(endpoint, ledger, buried, clock):
    ledger.failure = EventFailure(0, "not now")
    for attempt, status in ((1, 500), (4, 500), (5, 204)):
        pushed = enveloped(deliveryAttempt=attempt)
        assert await push(endpoint, pushed, JSON, authorization=f"Bearer {token(clock)}") == status
        assert len(buried) == (status == 204)
    assert buried == [("ledger", "acme", EVENT.to_json(), None, 5, "not now")]


@pytest.mark.parametrize("failure", [EventFailure(0, "never", final=True)])
async def test_what_can_never_be_applied_is_kept_at_once(endpoint, ledger, buried, clock, failure):
    ledger.failure = failure
    attributes = {"content-type": "application/cloudevents+json", "tenant": "acme", "outbox": "7-0"}
    pushed = enveloped(attributes=attributes)
    assert await push(endpoint, pushed, JSON, authorization=f"Bearer {token(clock)}") == 204
    assert buried == [("ledger", "acme", EVENT.to_json(), "7-0", 1, "never")]


@pytest.mark.parametrize(
    ("data", "attributes"),
    [
        (b"not JSON", {}),
        (b"{}", {}),
        (EVENT.to_json(), {"content-type": STRUCTURED["content-type"], "tenant": "other"}),
    ],
)
async def test_what_is_no_event_or_another_tenants_is_kept_and_reaches_nobody(
    endpoint, ledger, buried, clock, data, attributes
):
    pushed = enveloped(data, attributes)
    assert await push(endpoint, pushed, JSON, authorization=f"Bearer {token(clock)}") == 204
    assert ledger.seen == []
    assert [each[2] for each in buried] == [data]


async def test_a_dependency_away_is_no_events_fault(endpoint, ledger, buried, clock):
    ledger.failure = DependencyUnavailableError("Firestore is away")
    pushed = enveloped(deliveryAttempt=50)
    assert await push(endpoint, pushed, JSON, authorization=f"Bearer {token(clock)}") == 503
    assert buried == []


async def test_an_error_of_ours_is_a_failed_event(endpoint, ledger, buried, clock):
    ledger.failure = ZeroDivisionError("oops")
    assert await push(endpoint, enveloped(), JSON, authorization=f"Bearer {token(clock)}") == 500
    pushed = enveloped(deliveryAttempt=5)
    assert await push(endpoint, pushed, JSON, authorization=f"Bearer {token(clock)}") == 204
    assert buried[0][-1] == "ZeroDivisionError: oops"


async def test_what_is_for_another_group_is_not_applied(endpoint, ledger, clock):
    for recipient, count in (("audit", 0), ("ledger", 1)):
        attributes = {"content-type": "application/cloudevents+json", "recipient": recipient}
        pushed = enveloped(attributes=attributes)
        assert await push(endpoint, pushed, JSON, authorization=f"Bearer {token(clock)}") == 204
        assert len(ledger.seen) == count
