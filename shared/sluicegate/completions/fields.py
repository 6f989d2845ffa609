"""Reading fields of a request that may be anything, with errors that name the field."""

from typing import Any

from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError


def invalid(param: str, problem: str) -> InvalidRequestError:
    """An error that says what is wrong with `param`."""
    return InvalidRequestError(f"'{param}' {problem}.", param=param)


def text(body: Json, name: str, limit: int) -> str:
    """The non-empty string of at most `limit` characters that `name` must be."""
    value = body.get(name)
    if type(value) is not str or not value:
        raise invalid(name, "is required and must be a non-empty string")
    if len(value) > limit:
        raise invalid(name, f"must have at most {limit} characters")
    return value


def flag(body: Json, name: str) -> bool:
    """The boolean `name`; False where it is absent or null."""
    value = body.get(name)
    if value is None or value is False:
        return False
    if value is True:
        return True
    raise invalid(name, "must be true or false")


def count(body: Json, name: str, least: int, most: int) -> int | None:
    """The integer `name` in [least, most]; None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise invalid(name, f"must be an integer from {least} to {most}")
    return value


def affordable(body: Json, name: str, dearer: frozenset[str]) -> None:
    """Pass unless the string `name` is one of `dearer`: choices billed above the catalogue's prices.

    Budgets would not see what they cost, so nobody may ask for them.
    """
    value = word(body, name, "")
    if value is not None and value.lower() in dearer:
        problem = f"{value!r} is billed above the catalogue's prices, which budgets go by; leave it out"
        raise invalid(name, problem)


def listed(value: object) -> list[Any]:
    """`value` if it is a list, else an empty one: for answers, which are read leniently."""
    return value if type(value) is list else []


def mapping(body: Json, name: str) -> Json | None:
    """The object `name`; None where it is absent or null."""
    value = body.get(name)
    if value is None or type(value) is dict:
        return value
    raise invalid(name, "must be an object")


def items(body: Json, name: str, limit: int) -> list[Any]:
    """The list `name` of at most `limit` items; empty where it is absent or null."""
    value = body.get(name)
    if value is None:
        return []
    if type(value) is not list:
        raise invalid(name, "must be a list")
    if len(value) > limit:
        raise invalid(name, f"has {len(value)} items, more than the {limit} allowed")
    return value


def conversation(body: Json, limit: int) -> list[Any]:
    """The non-empty list `messages`."""
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        raise invalid("messages", "is required and must be a non-empty list")
    return items(body, "messages", limit)


MOST_TOKENS = 100_000_000
"""More tokens than one answer can have. A larger figure is a provider's mistake, and its product with a
price would not be exact in the store."""


def whole(value: object) -> int:
    """`value` if it is a count of tokens, zero if it is anything else."""
    return value if type(value) is int and 0 < value <= MOST_TOKENS else 0


def counted(*figures: object) -> bool:
    """Whether a provider's main `figures` can be charged: at least one, and each given one a token count."""
    given = [figure for figure in figures if figure is not None]
    return bool(given) and all(type(figure) is int and 0 <= figure <= MOST_TOKENS for figure in given)


def number(body: Json, name: str, least: float, most: float) -> float | None:
    """The number `name` in [least, most]; None where it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if (type(value) is not int and type(value) is not float) or not least <= value <= most:
        raise invalid(name, f"must be a number from {least:g} to {most:g}")
    return value


def word(holder: Json, name: str, path: str) -> str | None:
    """The string `name` of the object at `path`; None where it is absent or null."""
    value = holder.get(name)
    if value is None or type(value) is str:
        return value
    raise invalid(f"{path}.{name}" if path else name, "must be a string")
