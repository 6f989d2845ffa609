"""What the transparency log is told of keys and tokens, and what happens where it cannot be told."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jsonschema import Draft202012Validator

from sluicegate.events.registry import data_schema
from sluicegate.identity.issuing import TokenIssuer, TokenIssuing, TokenRequest
from sluicegate.identity.policy import TokenPolicy
from sluicegate.kernel.errors import DependencyUnavailableError, InvalidRequestError, NotFoundError
from sluicegate.kernel.events import AUDIT_ACTION
from sluicegate.kernel.governed import Actor

AWAY = DependencyUnavailableError("bus.db is read-only")


def check(events):
    validator = Draft202012Validator(data_schema(AUDIT_ACTION))
    for event in events:
        validator.validate(event.data)
    assert len({event.id for event in events}) == len(events)


async def test_a_keys_life_is_told_step_by_step(world):
    issued = await world.new_key(name="ci", life_s=1000)
    rotated = await world.keys.rotate("acme", issued.key.id, overlap_s=60)
    await world.keys.revoke("acme", issued.key.id, "leaked")
    assert world.told.actions == [
        ("key.created", "success"), ("key.rotated", "success"), ("key.revoked", "success"),
    ]  # fmt: skip
    check(world.told.events)
    created, rotation, revocation = (event.data for event in world.told.events)
    for data in (created, rotation, revocation):
        assert (data["user"], data["workspace"], data["subject"]) == ("cli:ann", "growth", "kim")
        assert (data["ip"], data["user_agent"]) == ("203.0.113.7", "sluicegate-cli")
        assert data["payload"]["key"] == issued.key.id
    assert created["payload"]["prefix"] == issued.key.current.prefix
    assert created["payload"]["expires_at"] == round(world.clock.now() + 1000)
    assert rotation["payload"]["prefix"] == rotated.key.current.prefix
    assert revocation["reason"] == "leaked"
    assert {event.tenant for event in world.told.events} == {"acme"}
    for text in (issued.text, rotated.text):
        assert text.split("-")[3] not in repr(world.told.events), "a secret"


async def test_nothing_is_made_or_rotated_that_cannot_be_told(world):
    issued = await world.new_key()
    world.told.error = AWAY
    with pytest.raises(DependencyUnavailableError, match=r"nothing was done.*bus\.db is read-only"):
        await world.new_key()
    with pytest.raises(DependencyUnavailableError, match="nothing was done"):
        await world.keys.rotate("acme", issued.key.id, overlap_s=0)
    assert world.store.by_id == {issued.key.id: issued.key}
    assert world.board.told == []
    world.told.error = None
    await world.sign_in(issued.text)


async def test_it_is_told_before_it_is_done(world):
    seen = []
    world.told.watch = lambda events: seen.append((events[0].subject, len(world.store.by_id)))
    issued = await world.new_key()
    world.told.watch = lambda events: seen.append(
        (events[0].subject, len(world.store.by_id[issued.key.id].secrets))
    )
    await world.keys.rotate("acme", issued.key.id)
    assert seen == [("key.created", 0), ("key.rotated", 1)]


async def test_a_key_is_revoked_though_the_log_cannot_be_told_and_the_second_try_tells(world):
    issued = await world.new_key()
    world.told.error = AWAY
    with pytest.raises(DependencyUnavailableError, match=r"is revoked, but .* revoke it again"):
        await world.keys.revoke("acme", issued.key.id, "leaked")
    assert world.store.by_id[issued.key.id].revoked_at is not None
    assert world.board.told == [("revoked", "acme", issued.key.id)]
    world.told.error = None
    world.clock.advance(60)
    await world.keys.revoke("acme", issued.key.id, "again")
    await world.keys.revoke("acme", issued.key.id)
    first, second = world.told.events[1:]
    assert (first.source, first.id, first.time) == (second.source, second.id, second.time), "one entry"
    assert first.data["reason"] == "leaked"
    assert first.time == world.store.by_id[issued.key.id].revoked_at


async def test_what_was_told_and_then_failed_is_told_too(world):
    issued = await world.new_key()

    async def away(_key):
        raise DependencyUnavailableError("the disk is full")

    world.store.replace = away
    with pytest.raises(DependencyUnavailableError, match="disk is full"):
        await world.keys.rotate("acme", issued.key.id)
    assert world.told.actions[1:] == [("key.rotated", "success"), ("key.rotated", "failure")]
    assert world.told.events[2].data["reason"] == "not done: the disk is full"
    check(world.told.events)


async def test_what_is_refused_is_not_told(world):
    issued = await world.new_key()
    await world.keys.revoke("acme", issued.key.id)
    told = len(world.told.events)
    for work in (
        lambda: world.new_key(tenant="No Good"),
        lambda: world.keys.rotate("acme", issued.key.id),
        lambda: world.keys.rotate("acme", "key_nobody"),
        lambda: world.keys.revoke("other", issued.key.id),
    ):
        with pytest.raises((InvalidRequestError, NotFoundError)):
            await work()
    assert len(world.told.events) == told


@pytest.fixture
def issuing(world):
    key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    return TokenIssuing(TokenIssuer(key, world.roles, TokenPolicy(), world.clock), world.clock, world.told)


async def test_a_token_is_told_of_without_its_text(world, issuing):
    request = TokenRequest("acme", "growth", "kim", roles=("ai_service",), life_s=60)
    token = await issuing.issue(request, by=Actor("cli:ann"))
    [event] = world.told.events
    check([event])
    assert (event.tenant, event.data["action"], event.data["user"]) == ("acme", "token.issued", "cli:ann")
    assert event.data["subject"] == "kim"
    assert event.data["payload"]["jti"] == token.id
    assert event.data["payload"]["expires_at"] == token.expires_at == world.clock.now() + 60
    assert token.text not in repr(event)
    assert token.text not in repr(token)


async def test_a_token_that_cannot_be_told_of_is_not_given_out(world, issuing):
    world.told.error = AWAY
    with pytest.raises(DependencyUnavailableError):
        await issuing.issue(TokenRequest("acme", "growth", "kim", roles=("ai_service",)), by=Actor("x"))
