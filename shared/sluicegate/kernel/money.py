"""Money as whole nano-dollars (10⁻⁹ USD), prices as whole pico-dollars (10⁻¹² USD) per token.

A price of 0.15 USD per million tokens is 150 000 pico-dollars per token, exactly. No floats: a
cost is a sum of products of integers, rounded up once, to the next nano-dollar.
"""

from decimal import Decimal, InvalidOperation

NANO_PER_USD = 1_000_000_000
PICO_PER_NANO = 1_000
PICO_PER_TOKEN_PER_USD_PER_MILLION = 1_000_000

# Redis scripts compute in IEEE doubles: every sum of nano-dollars must stay below 2^53.
MAX_NANO = 9_000_000 * NANO_PER_USD


def nano_from_usd(usd: str | int | Decimal) -> int:
    """Nano-dollars of an amount in USD given as text, integer or Decimal (never a float).

    Raises:
        ValueError: not a finite decimal, negative, above 9 000 000 USD, or finer than a nano-dollar.
    """
    return _scaled(usd, NANO_PER_USD, "nano-dollar")


def pico_per_token(usd_per_million: str | int | Decimal) -> int:
    """Pico-dollars per token of a list price in USD per million tokens.

    Raises:
        ValueError: as `nano_from_usd`; the finest price is 0.000001 USD per million tokens.
    """
    return _scaled(usd_per_million, PICO_PER_TOKEN_PER_USD_PER_MILLION, "pico-dollar per token")


def nano_from_pico(pico: int) -> int:
    """Nano-dollars of `pico` pico-dollars, rounded up: a cost is never understated."""
    return -(-pico // PICO_PER_NANO)


def usd(nano: int) -> str:
    """`nano` nano-dollars as a plain decimal in USD, without exponent or trailing zeros: `0.0015`."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:09d}".rstrip("0")


def _scaled(amount: str | int | Decimal, factor: int, unit: str) -> int:
    if isinstance(amount, bool | float):
        raise ValueError(  # noqa: TRY004 - pydantic turns a ValueError into a located message
            f"{amount!r} must be text, an integer or a Decimal, not a float"
        )
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f"{amount!r} is not a decimal amount in USD") from None
    if not value.is_finite() or value < 0 or value > MAX_NANO // NANO_PER_USD:
        raise ValueError(f"{amount} USD must lie between 0 and {MAX_NANO // NANO_PER_USD}")
    scaled = value * factor
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} USD is finer than one {unit}")
    return int(scaled)
