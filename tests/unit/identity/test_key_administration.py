from dataclasses import replace

import pytest

from sluicegate.kernel.errors import (
    ConfigurationError,
    DependencyUnavailableError,
    InvalidRequestError,
    NotFoundError,
)


async def test_a_new_key_stores_no_secret(world):
    issued = await world.new_key(name="ci")
    assert issued.key.id == f"key_{issued.key.current.prefix}"
    assert issued.text.split("-")[3] not in repr(world.store.by_id)
    assert issued.text.split("-")[3] not in repr(issued)
    assert issued.key.roles == ("ai_service",)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"tenant": "Acme"}, InvalidRequestError),
        ({"workspace": "a|b"}, InvalidRequestError),
        ({"user": ""}, InvalidRequestError),
        ({"name": "a\nb"}, InvalidRequestError),
        ({"timezone": "Mars/Base"}, InvalidRequestError),
        ({"timezone": "../../etc/passwd"}, InvalidRequestError),
        ({"life_s": 0}, InvalidRequestError),
        ({"roles": ()}, InvalidRequestError),
        ({"roles": ("root",)}, ConfigurationError),
        ({"permissions": ("all",)}, ConfigurationError),
    ],
)
async def test_impossible_keys_are_refused(world, fields, error):
    with pytest.raises(error):
        await world.new_key(**fields)
    assert not world.store.by_id


async def test_a_rotation_keeps_the_id_and_ends_the_old_secret_after_the_overlap(world):
    first = await world.new_key()
    world.clock.advance(100)
    second = await world.keys.rotate("acme", first.key.id)
    assert second.key.id == first.key.id
    assert second.text != first.text
    old, new = second.key.secrets
    assert old.expires_at == world.clock.now() + 24 * 3600
    assert new.expires_at is None
    assert world.keys.rotate_by(second.key) == world.clock.now() + 30 * 86_400
    assert world.board.told == [("changed", first.key.id)]


async def test_rotating_again_never_prolongs_an_older_secret(world):
    first = await world.new_key()
    await world.keys.rotate("acme", first.key.id, overlap_s=60)
    ends = world.clock.now() + 60
    third = await world.keys.rotate("acme", first.key.id, overlap_s=3600)
    assert third.key.secrets[0].expires_at == ends
    assert third.key.secrets[1].expires_at == world.clock.now() + 3600


async def test_a_rotation_without_overlap_drops_the_old_secret_at_once(world):
    first = await world.new_key()
    second = await world.keys.rotate("acme", first.key.id, overlap_s=0)
    assert len(second.key.secrets) == 1


async def test_revoked_expired_and_foreign_keys_do_not_rotate(world):
    revoked, expired = await world.new_key(), await world.new_key(life_s=10)
    await world.keys.revoke("acme", revoked.key.id)
    world.clock.advance(11)
    for key in (revoked, expired):
        with pytest.raises(InvalidRequestError):
            await world.keys.rotate("acme", key.key.id)
    with pytest.raises(NotFoundError):
        await world.keys.rotate("other", revoked.key.id)
    with pytest.raises(InvalidRequestError):
        await world.keys.rotate("acme", expired.key.id, overlap_s=-1)


async def test_a_revocation_is_stored_then_announced_and_may_be_announced_again(world):
    issued = await world.new_key()
    world.board.error = DependencyUnavailableError("redis away")
    first = await world.keys.revoke("acme", issued.key.id, "leaked")
    assert not first.announced
    assert first.key.revoked_at == world.clock.now()
    world.board.error = None
    world.clock.advance(10)
    second = await world.keys.revoke("acme", issued.key.id, "other")
    assert second.announced
    assert second.key == first.key
    assert world.board.told == [("revoked", "acme", issued.key.id)]


async def test_a_rotation_under_way_never_undoes_a_revocation(world):
    issued = await world.new_key()
    find = world.store.find

    async def find_then_revoke(tenant, key_id):
        found = await find(tenant, key_id)
        if world.store.by_id[key_id].revoked_at is None:
            current = world.store.by_id[key_id]
            world.store.by_id[key_id] = replace(current, revoked_at=1.0, revision=current.revision + 1)
        return found

    world.store.find = find_then_revoke
    with pytest.raises(InvalidRequestError, match="revoked"):
        await world.keys.rotate("acme", issued.key.id)
    assert world.store.by_id[issued.key.id].revoked_at == 1.0
