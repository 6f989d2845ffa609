"""Sign-ins in the log: every attempt is counted once, and nobody can fill it."""

import asyncio
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from sluicegate.events.registry import data_schema
from sluicegate.identity.api_keys import mint_key
from sluicegate.identity.attempts import FailedAttempt, SignIn
from sluicegate.identity.policy import SignInLogPolicy
from sluicegate.identity.principal import Principal
from sluicegate.identity.sign_in_log import SignInLog
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import AuthenticationError, DependencyUnavailableError, RateLimitedError
from sluicegate.kernel.events import AUDIT_ACTION

PLATFORM = "platform"


class Told:
    def __init__(self):
        self.events = []
        self.error = None
        self.calls = 0

    async def publish(self, events):
        self.calls += 1
        if self.error is not None:
            raise self.error
        self.events += events


@pytest.fixture
def told():
    return Told()


def make(told, clock=None, **policy):
    return SignInLog(told, SignInLogPolicy(**policy), clock or FixedClock(), PLATFORM)


def attempt(source="10.0.0.1", reason="unknown", **fields):
    return FailedAttempt(reason, source, source, **fields)


def principal(**fields):
    return Principal(
        **{
            "tenant": "acme", "workspace": "growth", "user": "kim", "key_id": "token.kim",
            "roles": frozenset({"b", "a"}), "permissions": frozenset(), "method": "jwt", **fields,
        }
    )  # fmt: skip


def counts(events):
    return [(each.tenant, each.data.get("ip"), each.data["payload"]["count"]) for each in events]


async def test_the_first_failure_is_told_at_once_and_the_rest_of_the_minute_together(told):
    clock = FixedClock()
    log = make(told, clock)
    for n in range(500):
        log.failed(attempt(reason="unknown" if n % 5 else "malformed", user_agent="curl"))
        await log.flush()
    assert counts(told.events) == [(PLATFORM, "10.0.0.1", 1)]
    clock.advance(60)
    await log.flush()
    first, rest = told.events
    assert rest.data["payload"]["count"] == 499
    assert rest.data["payload"]["reasons"] == {"unknown": 400, "malformed": 99}
    assert (rest.data["reason"], rest.data["result"]) == ("unknown, malformed", "failure")
    assert (rest.data["user"], rest.data["user_agent"]) == ("unknown", "curl")
    assert first.id != rest.id
    log.failed(attempt())
    await log.flush()
    assert len(told.events) == 3, "the next minute begins anew"


async def test_a_lonely_failure_is_one_entry(told):
    clock = FixedClock()
    log = make(told, clock)
    log.failed(attempt())
    await log.flush()
    clock.advance(600)
    await log.flush()
    await log.stop()
    assert counts(told.events) == [(PLATFORM, "10.0.0.1", 1)]


async def test_attempts_with_somebodys_key_are_told_in_that_tenants_part(told):
    log = make(told)
    log.failed(attempt(tenant="acme", key="key_1"))
    log.failed(attempt(tenant="acme", key="key_1", reason="revoked", user="kim"))
    log.failed(attempt(tenant="beta", key="key_2", reason="expired", user="bob"))
    log.failed(attempt())
    await log.stop()
    assert sorted(counts(told.events)) == [
        ("acme", "10.0.0.1", 1), ("acme", "10.0.0.1", 1), ("beta", "10.0.0.1", 1), (PLATFORM, "10.0.0.1", 1),
    ]  # fmt: skip
    by = [(each.tenant, each.data["payload"]["key"], each.data["user"]) for each in told.events]
    assert ("beta", "key_2", "bob") in by, "who proved to know the secret"
    assert ("acme", "key_1", "unknown") in by, "somebody guessed, and that was not the owner"
    assert ("acme", "key_1", "kim") in by


async def test_calls_without_a_credential_are_no_attempts(told):
    log = make(told)
    log.failed(attempt(reason="missing"))
    await log.stop()
    assert told.events == []


async def test_from_however_many_addresses_the_log_does_not_fill(told):
    clock = FixedClock()
    log = make(told, clock, sources=5)
    for n in range(1_000):
        log.failed(attempt(f"10.0.{n // 250}.{n % 250}"))
    await log.flush()
    clock.advance(60)
    await log.flush()
    assert len(told.events) == 7
    assert sum(each.data["payload"]["count"] for each in told.events) == 1_000
    rest = told.events[-1].data
    assert rest["payload"]["count"] == 994
    assert "ip" not in rest
    assert len(log._failures) == 0


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c", "d"]),
            st.sampled_from([None, "acme", "beta"]),
            st.sampled_from(["unknown", "revoked", "blocked"]),
            st.sampled_from([0, 0, 0, 25, 61]),
        ),
        max_size=60,
    )
)
def test_every_attempt_is_counted_exactly_once(attempts):
    async def play():
        told, clock = Told(), FixedClock()
        log = make(told, clock, sources=3)
        validator = Draft202012Validator(data_schema(AUDIT_ACTION))
        windows = 1
        for source, tenant, reason, later in attempts:
            clock.advance(later)
            windows += later > 0
            log.failed(attempt(source, reason, tenant=tenant))
        await log.stop()
        for event in told.events:
            validator.validate(event.data)
        payloads = [event.data["payload"] for event in told.events]
        assert sum(each["count"] for each in payloads) == len(attempts)
        for reason in ("unknown", "revoked", "blocked"):
            assert sum(each["reasons"].get(reason, 0) for each in payloads) == sum(
                each[2] == reason for each in attempts
            )
        assert len(told.events) <= 2 * 4 * windows
        assert len({event.id for event in told.events}) == len(told.events)

    asyncio.run(play())


async def test_a_token_is_told_once_however_often_and_wherever_it_is_accepted(told):
    sign_in = SignIn(principal(expires_at=99.5), hashlib.sha256(b"token").digest(), "10.0.0.1", "curl")
    one, two = make(told), make(told, FixedClock(5.0))
    for log in (one, one, two):
        log.signed_in(sign_in)
        await log.flush()
    assert len({(event.source, event.id, event.tenant) for event in told.events}) == 1
    data = told.events[0].data
    assert (data["action"], data["user"], data["ip"]) == ("sign_in.succeeded", "kim", "10.0.0.1")
    assert data["payload"]["roles"] == ["a", "b"]
    Draft202012Validator(data_schema(AUDIT_ACTION)).validate(data)


async def test_while_the_bus_is_away_events_wait_up_to_a_bound_and_what_is_lost_is_told(told):
    told.error = DependencyUnavailableError("away")
    log = make(told, queue=10)
    for n in range(25):
        log.signed_in(SignIn(principal(), bytes([n]) * 32, "10.0.0.1"))
    with pytest.raises(DependencyUnavailableError):
        await log.flush()
    assert (told.events, log.unlogged) == ([], 15)
    told.error = None
    await log.flush()
    assert [each.subject for each in told.events] == ["sign_in.succeeded"] * 10 + ["sign_in.unlogged"]
    lost = told.events[-1]
    assert (lost.tenant, lost.data["payload"], lost.data["result"]) == (PLATFORM, {"count": 15}, "failure")
    assert log.unlogged == 0


async def test_it_tells_in_the_background_and_again_after_a_failure(told):
    told.error = DependencyUnavailableError("away")
    log = make(told)
    log.start()
    log.failed(attempt())
    async with asyncio.timeout(10):
        while not told.calls:  # noqa: ASYNC110 - the task's first try
            await asyncio.sleep(0.001)
        told.error = None
        while not told.events:  # noqa: ASYNC110 - and its second
            await asyncio.sleep(0.01)
    await log.stop()
    assert len(told.events) == 1


async def test_stopping_gives_up_a_bus_that_stays_away(told, caplog):
    told.error = DependencyUnavailableError("away")
    log = make(told)
    log.start()
    log.failed(attempt())
    await log.stop(within_s=0.01)
    assert "sign-ins could not be told" in caplog.text


async def test_the_authenticator_says_whose_key_it_was_and_who_came(world):
    good, ended = await world.new_key(), await world.new_key()
    await world.keys.revoke("acme", ended.key.id)
    forged = good.text[:-8] + ("a" if good.text[-8] != "a" else "b") + good.text[-7:]
    for text in (forged, mint_key().text, ended.text):
        with pytest.raises(AuthenticationError):
            await world.sign_in(text, "10.0.0.1", b"curl/8\xe9")
    malformed, unknown, revoked = world.watcher.attempts
    assert (malformed.reason, malformed.tenant) == ("malformed", None)
    assert (unknown.reason, unknown.tenant, unknown.key) == ("unknown", None, None)
    assert (revoked.reason, revoked.tenant) == ("revoked", "acme")
    assert (revoked.key, revoked.user) == (ended.key.id, "kim")
    assert (revoked.client, revoked.user_agent) == ("10.0.0.1", "curl/8é")
    await world.sign_in(good.text)
    assert world.watcher.sign_ins == [], "keys are told by what they do"


async def test_a_wrong_secret_for_a_known_prefix_names_the_key_but_not_its_owner(world):
    good = await world.new_key()
    wrong = mint_key()
    world.store.by_id[good.key.id] = type(good.key)(
        **{name: getattr(good.key, name) for name in good.key.__dataclass_fields__ if name != "secrets"},
        secrets=(type(good.key.current)(wrong.prefix, bytes(32), 0.0),),
    )
    with pytest.raises(AuthenticationError):
        await world.sign_in(wrong.text)
    [seen] = world.watcher.attempts
    assert (seen.tenant, seen.key, seen.user) == ("acme", good.key.id, None)


async def test_blocked_guesses_are_attempts_too(world):
    for _ in range(8):
        with pytest.raises((AuthenticationError, RateLimitedError)):
            await world.sign_in(mint_key().text, "10.0.0.9", b"x" * 9_000)
    assert [each.reason for each in world.watcher.attempts] == ["unknown"] * 6 + ["blocked"] * 2
    assert {len(each.user_agent) for each in world.watcher.attempts} == {512}


async def test_a_token_is_told_when_it_is_first_accepted_and_not_while_it_is_remembered(world):
    class Tokens:
        async def verify(self, token):
            return principal(expires_at=world.clock.now() + 3_000)

    authenticator = world.build(Tokens())
    token = b"aaa.bbb.ccc"
    for _ in range(5):
        await authenticator.authenticate(b"Bearer " + token, None, "10.0.0.1", b"curl")
        world.clock.advance(100)
        authenticator.forget_all()
    await authenticator.authenticate(None, token, "10.0.0.1")
    digests = {each.digest for each in world.watcher.sign_ins}
    assert digests == {hashlib.sha256(token).digest()}, "the same whichever header it came in"
    assert len(world.watcher.sign_ins) == 2
    assert world.watcher.sign_ins[0].user_agent == "curl"
