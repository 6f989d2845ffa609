"""When tokens are fetched, shared, renewed and given up on."""

import asyncio
import datetime as dt
import threading

import pytest

from sluicegate.adapters.providers.google_tokens import GoogleTokens, TokenError

HOUR = 3600.0


class Time:
    def __init__(self):
        self.at = 1_800_000_000.0

    def __call__(self):
        return self.at


class Account:
    def __init__(self, now, lifetime=HOUR):
        self.now, self.lifetime = now, lifetime
        self.fetched = 0
        self.broken = False
        self.threads = set()

    def refresh(self, request):
        self.threads.add(threading.current_thread())
        if self.broken:
            raise OSError("ya29.secret is not accepted")
        self.fetched += 1
        self.token = f"t{self.fetched}"
        self.expiry = dt.datetime.fromtimestamp(self.now() + self.lifetime, dt.UTC).replace(tzinfo=None)


@pytest.fixture
def now():
    return Time()


@pytest.fixture
def account(now):
    return Account(now)


@pytest.fixture
async def tokens(account, now):
    tokens = GoogleTokens(lambda: account, now=now)
    yield tokens
    await tokens.close()


async def background(tokens):
    await tokens._fetching


async def test_one_fetch_serves_all_callers_and_all_calls_of_an_hour(tokens, account, now):
    assert await asyncio.gather(*(tokens.token(9) for _ in range(5))) == [b"t1"] * 5
    now.at += HOUR - 300
    assert await tokens.token(9) == b"t1"
    assert account.fetched == 1
    assert threading.main_thread() not in account.threads


async def test_it_is_renewed_in_the_background_before_its_end(tokens, account, now):
    await tokens.token(9)
    now.at += HOUR - 200
    assert await tokens.token(9) == b"t1"
    await background(tokens)
    assert await tokens.token(9) == b"t2"
    assert account.fetched == 2


async def test_an_expired_one_is_never_given_out(tokens, account, now):
    await tokens.token(9)
    now.at += HOUR + 1
    assert await tokens.token(9) == b"t2"


async def test_a_failed_renewal_is_no_trouble_until_the_end(tokens, account, now):
    await tokens.token(9)
    account.broken = True
    now.at += HOUR - 200
    assert await tokens.token(9) == b"t1"
    await background(tokens)
    assert await tokens.token(9) == b"t1"
    assert tokens.problem() is not None
    now.at += 300
    with pytest.raises(TokenError, match="gcloud auth"):
        await tokens.token(9)
    account.broken = False
    with pytest.raises(TokenError):
        await tokens.token(9)  # not another attempt for every call
    now.at += 6
    assert await tokens.token(9) == b"t2"
    assert tokens.problem() is None


async def test_failures_do_not_repeat_what_the_library_says(tokens, account):
    account.broken = True
    with pytest.raises(TokenError) as caught:
        await tokens.token(9)
    assert "ya29" not in str(caught.value) + repr(tokens)


async def test_a_short_lived_token_is_not_fetched_again_for_every_call(account, now):
    account.lifetime = 100.0
    tokens = GoogleTokens(lambda: account, now=now)
    for _ in range(5):
        assert await tokens.token(9) == b"t1"
        await asyncio.sleep(0)
    assert account.fetched == 1
    await tokens.close()


async def test_a_rejected_one_is_replaced_but_an_older_rejection_changes_nothing(tokens, account):
    first = await tokens.token(9)
    tokens.reject(first)
    assert await tokens.token(9) == b"t2"
    tokens.reject(first)
    assert await tokens.token(9) == b"t2"


async def test_waiting_is_bounded(now):
    gate = threading.Event()

    def load():
        gate.wait(20)
        raise OSError

    tokens = GoogleTokens(load, now=now)
    try:
        with pytest.raises(TokenError, match="no token within"):
            await tokens.token(0.01)
    finally:
        gate.set()
        await tokens.close()
