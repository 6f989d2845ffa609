"""Money: exact, bounded, never a float."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.kernel.models import Prices, Usage
from sluicegate.kernel.money import MAX_NANO, NANO_PER_USD, nano_from_pico, nano_from_usd, pico_per_token, usd


def test_amounts_and_prices_are_exact():
    assert nano_from_usd("0.000000001") == 1
    assert nano_from_usd(50) == 50 * NANO_PER_USD
    assert pico_per_token("0.15") == 150_000
    assert pico_per_token("0.0375") == 37_500
    assert usd(1_500_000) == "0.0015"
    assert usd(-1) == "-0.000000001"
    assert usd(2 * NANO_PER_USD) == "2"


@pytest.mark.parametrize(
    "bad", ["", "one", "NaN", "Infinity", "-1", "9000001", "0.0000000001", 0.1, True, "1e-10"]
)
def test_what_is_no_amount_is_refused(bad):
    with pytest.raises(ValueError, match=r"USD|float|decimal"):
        nano_from_usd(bad)


@given(st.integers(0, MAX_NANO))
def test_text_and_back_is_the_same_amount(nano):
    assert nano_from_usd(usd(nano)) == nano


@given(st.integers(0, 10**18))
def test_rounding_is_up_and_by_less_than_one(pico):
    nano = nano_from_pico(pico)
    assert 0 <= nano * 1_000 - pico < 1_000


PRICES = st.builds(
    Prices,
    input=st.integers(0, 10**8),
    output=st.integers(0, 10**8),
    cached_input=st.integers(0, 10**8),
    cache_write=st.integers(0, 10**8),
    cache_write_1h=st.integers(0, 10**8),
    request_nano=st.integers(0, 10**6),
    image_nano=st.integers(0, 10**7),
)


@given(PRICES, st.integers(0, 10**5), st.integers(0, 10**4), st.integers(0, 9), st.data())
def test_a_hold_pays_every_way_the_same_tokens_can_be_billed(prices, prompt, output, images, data):
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    usage = Usage(
        input_tokens=prompt - cached - written,
        cached_input_tokens=cached,
        cache_write_tokens=written,
        output_tokens=data.draw(st.integers(0, output)),
        images=images,
    )
    assert prices.cost(usage) <= prices.hold(prompt, output, images)


@given(PRICES, st.integers(0, 10**12), st.integers(0, 10**5), st.integers(0, 3))
def test_affordable_output_is_the_most_that_a_hold_of_that_size_pays(prices, nano, prompt, images):
    tokens = prices.affordable_output(nano, prompt, images)
    if tokens is None:
        assert prices.output == 0
        assert prices.hold(prompt, 10**9, images) <= nano
    elif tokens >= 0:
        assert prices.hold(prompt, tokens, images) <= nano < prices.hold(prompt, tokens + 1, images) + 1
    else:
        assert prices.hold(prompt, 0, images) > nano


def test_a_price_is_a_decimal_not_a_binary_fraction():
    assert pico_per_token(Decimal("0.1")) == 100_000
    with pytest.raises(ValueError, match="float"):
        pico_per_token(0.1)
