import asyncio

import pytest

from sluicegate.identity.api_keys import mint_key
from sluicegate.kernel.errors import (
    AuthenticationError,
    ConfigurationError,
    DependencyUnavailableError,
    RateLimitedError,
)


async def test_a_key_becomes_its_principal(world):
    issued = await world.new_key(
        roles=("ai_service", "human_reviewer"), permissions=("access_models",), models=("gpt-*",),
        plan="pro", timezone="Europe/Berlin", life_s=100,
    )  # fmt: skip
    principal = await world.sign_in(issued.text)
    assert (principal.tenant, principal.workspace, principal.user) == ("acme", "growth", "kim")
    assert principal.key_id == issued.key.id
    assert principal.permissions == {"access_models"}
    assert principal.allowed_models == ("gpt-*",)
    assert (principal.plan, principal.timezone) == ("pro", "Europe/Berlin")
    assert principal.expires_at == world.clock.now() + 100


async def test_either_header_will_do(world):
    key = (await world.new_key()).text.encode()
    authenticate = world.authenticator.authenticate
    wanted = await authenticate(b"Bearer " + key, None, "c")
    for authorization, x_api_key in [
        (b"bearer  " + key, None),
        (None, key),
        (b"Bearer foreign-token", key),
        (b"Bearer " + key, b"foreign"),
        (b"Bearer ", key),
        (b"Bearer", key),
        (b"", key),
    ]:
        assert await authenticate(authorization, x_api_key, "c") == wanted


@pytest.mark.parametrize("headers", [(None, None), (b"Bearer ", None), (b"", b""), (b"Bearer", None)])
async def test_no_credential_says_what_to_send_and_is_no_guess(world, headers):
    for _ in range(20):
        with pytest.raises(AuthenticationError, match="no API key"):
            await world.authenticator.authenticate(*headers, "c")
    assert not world.watcher.breaches


async def test_peek_knows_only_what_was_verified_and_only_for_its_time(world):
    key = f"Bearer {(await world.new_key()).text}"
    assert world.authenticator.peek(key.encode()) is None
    principal = await world.authenticator.authenticate(key.encode(), None, "c")
    assert world.authenticator.peek(key.encode()) is principal
    assert world.authenticator.peek(key[:-1].encode()) is None
    world.clock.advance(4.9)
    assert world.authenticator.peek(key.encode()) is principal
    world.clock.advance(0.2)
    assert world.authenticator.peek(key.encode()) is None


async def test_a_header_that_was_passed_over_is_never_known(world):
    """With both headers only the one that opened the door may open it again alone."""
    key = (await world.new_key()).text.encode()
    await world.authenticator.authenticate(b"Bearer foreign-token", key, "c")
    assert world.authenticator.peek(b"Bearer foreign-token") is None
    with pytest.raises(AuthenticationError):
        await world.authenticator.authenticate(b"Bearer foreign-token", None, "c")


async def test_of_two_credentials_of_ours_the_same_one_counts_whether_remembered_or_not(world):
    one = (await world.new_key(user="one")).text.encode()
    two = (await world.new_key(user="two")).text.encode()
    authenticate, peek = world.authenticator.authenticate, world.authenticator.peek
    for _ in range(2):
        first = await authenticate(b"Bearer " + one, two, "c")
        assert first.user == "two"
        await authenticate(b"Bearer " + one, None, "c")
        assert peek(two) is first


async def test_a_revocation_without_announcement_holds_after_five_seconds_at_most(world):
    issued = await world.new_key()
    await world.sign_in(issued.text)
    world.clock.advance(4.9)
    # Another way to write the same credential is verified anew, but from the same look-up …
    await world.authenticator.authenticate(None, issued.text.encode(), "c")
    await world.keys.revoke("acme", issued.key.id)
    world.clock.advance(0.2)
    # … so it, too, ends five seconds after that look-up.
    assert world.authenticator.peek(issued.text.encode()) is None
    with pytest.raises(AuthenticationError, match="revoked"):
        await world.authenticator.authenticate(None, issued.text.encode(), "c")


async def test_forget_makes_a_revocation_hold_at_once(world):
    issued, other = await world.new_key(), await world.new_key()
    await world.sign_in(issued.text)
    await world.sign_in(other.text)
    await world.keys.revoke("acme", issued.key.id)
    world.authenticator.forget(issued.key.id)
    assert world.authenticator.peek(b"Bearer " + issued.text.encode()) is None
    assert world.authenticator.peek(b"Bearer " + other.text.encode()) is not None
    with pytest.raises(AuthenticationError, match="revoked"):
        await world.sign_in(issued.text)


async def test_forget_all_verifies_everyone_anew(world):
    issued = await world.new_key()
    await world.sign_in(issued.text)
    await world.keys.revoke("acme", issued.key.id)
    world.authenticator.forget_all()
    with pytest.raises(AuthenticationError, match="revoked"):
        await world.sign_in(issued.text)


async def test_a_look_up_overtaken_by_a_revocation_is_not_remembered(world):
    issued = await world.new_key()
    world.store.gate = asyncio.Event()
    overtaken = asyncio.create_task(world.sign_in(issued.text))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert world.store.look_ups == 1
    await world.keys.revoke("acme", issued.key.id)
    world.authenticator.forget(issued.key.id)
    world.store.gate.set()
    await overtaken
    with pytest.raises(AuthenticationError, match="revoked"):
        await world.sign_in(issued.text)


async def test_expiry_holds_to_the_moment_even_while_remembered(world):
    issued = await world.new_key(life_s=3)
    await world.sign_in(issued.text)
    world.clock.advance(2.9)
    assert world.authenticator.peek(b"Bearer " + issued.text.encode())
    world.clock.advance(0.2)
    assert world.authenticator.peek(b"Bearer " + issued.text.encode()) is None
    with pytest.raises(AuthenticationError, match="expired"):
        await world.sign_in(issued.text)


async def test_both_secrets_work_while_a_rotation_overlaps(world):
    first = await world.new_key()
    second = await world.keys.rotate("acme", first.key.id)
    assert (await world.sign_in(first.text)).key_id == (await world.sign_in(second.text)).key_id
    world.clock.advance(24 * 3600)
    with pytest.raises(AuthenticationError, match="rotation"):
        await world.sign_in(first.text)
    await world.sign_in(second.text)


async def test_an_overdue_key_is_refused_only_where_policy_says_so(make_world):
    for overdue in ("report", "refuse"):
        world = make_world(keys={"overdue": overdue})
        issued = await world.new_key()
        world.clock.advance(30 * 86_400 + 1)
        if overdue == "report":
            await world.sign_in(issued.text)
        else:
            with pytest.raises(AuthenticationError, match="rotation date"):
                await world.sign_in(issued.text)


async def test_a_role_that_policy_lost_is_a_configuration_error(make_world):
    world = make_world()
    issued = await world.new_key(roles=("human_reviewer",))
    del world.roles.roles["human_reviewer"]
    with pytest.raises(ConfigurationError, match="human_reviewer"):
        await world.sign_in(issued.text)


async def test_wrong_secrets_tell_nothing_and_name_no_secret(world):
    issued = await world.new_key()
    stranger = mint_key().text
    forged = issued.text.split("-")
    wrong = mint_key_with_prefix(forged[2])
    messages = []
    for text in (stranger, wrong):
        with pytest.raises(AuthenticationError) as caught:
            await world.sign_in(text)
        messages.append(caught.value.message)
        assert text.split("-")[3] not in str(caught.value)
    assert messages[0] == messages[1]


def mint_key_with_prefix(prefix):
    """A well-formed key with a wrong secret for an existing prefix."""
    from sluicegate.identity import api_keys

    minted = mint_key().text.split("-")
    body = f"sk-slg-{prefix}-{minted[3]}".encode()
    return (body + b"-" + api_keys._checksum(body)).decode()


async def test_repeated_wrong_keys_cost_one_look_up(make_world):
    world = make_world(failed_attempts={"limit": 1000})
    wrong = mint_key().text
    for _ in range(50):
        with pytest.raises(AuthenticationError):
            await world.sign_in(wrong)
    assert world.store.look_ups == 1


async def test_malformed_keys_cost_no_look_up(world):
    for text in ("sk-slg-", "sk-slg-abc", "sk-proj-123", "x" * 9000, mint_key().text[:-1] + "!"):
        with pytest.raises(AuthenticationError):
            await world.sign_in(text, client=text[-1])
    assert world.store.look_ups == 0


async def test_the_sixth_wrong_key_blocks_its_address_and_raises_the_alarm(world):
    for _ in range(6):
        with pytest.raises(AuthenticationError):
            await world.sign_in(mint_key().text, client="10.0.0.9")
    with pytest.raises(RateLimitedError) as caught:
        await world.sign_in(mint_key().text, client="10.0.0.9")
    assert caught.value.retry_after == 60
    assert world.store.look_ups == 6
    [breach] = world.watcher.breaches
    assert (breach.kind, breach.source, breach.failures) == ("address", "10.0.0.9", 6)
    good = await world.new_key()
    await world.sign_in(good.text, client="10.0.0.10")


async def test_a_blocked_address_still_serves_keys_that_held_lately(world):
    good = await world.new_key()
    await world.sign_in(good.text, client="10.0.0.9")
    for _ in range(7):
        with pytest.raises((AuthenticationError, RateLimitedError)):
            await world.sign_in(mint_key().text, client="10.0.0.9")
    world.clock.advance(10)  # no longer fresh
    await world.sign_in(good.text, client="10.0.0.9")
    await world.keys.revoke("acme", good.key.id)
    world.authenticator.forget(good.key.id)
    with pytest.raises(RateLimitedError):
        await world.sign_in(good.text, client="10.0.0.9")


async def test_an_attack_on_one_prefix_from_everywhere_never_locks_its_owner_out(world):
    good = await world.new_key()
    for i in range(20):
        with pytest.raises((AuthenticationError, RateLimitedError)):
            await world.sign_in(mint_key_with_prefix(good.key.current.prefix), client=f"10.9.0.{i}")
    assert [b.kind for b in world.watcher.breaches] == ["prefix"]
    with pytest.raises(RateLimitedError):
        await world.sign_in(mint_key_with_prefix(good.key.current.prefix), client="10.8.0.1")
    await world.sign_in(good.text, client="10.7.0.1")


async def test_a_store_that_is_away_is_said_so_and_counts_against_nobody(world):
    good = await world.new_key()
    world.store.error = DependencyUnavailableError("away")
    for _ in range(10):
        with pytest.raises(DependencyUnavailableError):
            await world.sign_in(good.text)
    world.store.error = None
    await world.sign_in(good.text)


async def test_one_prefix_at_once_is_one_look_up_even_if_the_first_caller_goes_away(world):
    good = await world.new_key()
    world.store.gate = asyncio.Event()
    callers = [asyncio.create_task(world.sign_in(good.text)) for _ in range(20)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.sleep(0)
    world.store.gate.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert {r.key_id for r in results[1:]} == {good.key.id}
    assert world.store.look_ups == 1


async def test_memory_stays_bounded_under_a_flood(make_world):
    world = make_world(
        cache={"entries": 10, "prefixes": 10}, failed_attempts={"addresses": 10, "limit": 1000}
    )
    for i in range(30):
        good = await world.new_key()
        await world.sign_in(good.text, client=f"10.0.0.{i}")
        with pytest.raises(AuthenticationError):
            await world.sign_in(mint_key().text, client=f"10.0.1.{i}")
    assert len(world.authenticator._known) == 10
    assert len(world.verifier._found) == 10
    assert len(world.authenticator._addresses._records) == 10
    assert not world.verifier._under_way
