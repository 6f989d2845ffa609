"""The optional `x-sluicegate-*` headers by which a caller steers a request."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sluicegate.caching.types import CacheMode
from sluicegate.completions.types import Headers
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.money import nano_from_usd
from sluicegate.kernel.tenancy import checked_name

PREFIX = b"x-sluicegate-"
PRIORITIES = ("critical", "normal", "background")
MAX_IDEMPOTENCY_KEY_BYTES = 255


@dataclass(frozen=True, slots=True)
class Controls:
    """What the headers said. `quality` is 0..1, `max_cost_nano` nano-dollars for the whole request."""

    workspace: str | None = None
    mission: str | None = None
    agent: str | None = None
    task: str | None = None
    quality: float | None = None
    max_cost_nano: int | None = None
    priority: str = "normal"
    cache: CacheMode | None = None
    approval: str | None = None
    strategy: str | None = None
    idempotency_key: str | None = None
    debug: bool = False


NONE = Controls()


def read_controls(headers: Headers) -> Controls:
    """The controls in `headers` (lower-case names).

    Raises:
        InvalidRequestError: a value is malformed; `param` is the header's name. An unknown
            `x-sluicegate-` header is refused too: a misspelt limit must not be silently ignored. So is
            one that is sent twice: of two limits, neither is surely the one meant.
    """
    found: dict[str, object] = {}
    for name, value in headers:
        if name == b"idempotency-key":
            if "idempotency_key" in found:
                raise _twice("idempotency-key")
            found["idempotency_key"] = _idempotency_key(value)
        elif name.startswith(PREFIX):
            field = name[len(PREFIX) :].decode("latin-1")
            reader = _READERS.get(field)
            if reader is None:
                known = ", ".join(sorted(_READERS))
                raise InvalidRequestError(
                    f"unknown header x-sluicegate-{field[:64]}; known are: {known}",
                    param=f"x-sluicegate-{field[:64]}",
                )
            attribute, read = reader
            if attribute in found:
                raise _twice(f"x-sluicegate-{field}")
            try:
                if not value.isascii():
                    raise ValueError("must be ASCII text")  # noqa: TRY301 - told like any other wrong value
                found[attribute] = read(value.decode("ascii").strip())
            except ValueError as error:
                raise InvalidRequestError(
                    f"header x-sluicegate-{field}: {error}", param=f"x-sluicegate-{field}"
                ) from None
    return Controls(**found) if found else NONE  # type: ignore[arg-type]


def _twice(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"header {name} is sent twice; send it once", param=name)


def _name(value: str) -> str:
    return checked_name(value.lower())


def _quality(value: str) -> float:
    try:
        quality = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value[:40]!r} is not a number between 0 and 1") from None
    if not quality.is_finite() or not 0 <= quality <= 1:
        raise ValueError("must lie between 0 and 1")
    return float(quality)


def _cost(value: str) -> int:
    return nano_from_usd(value)


def _priority(value: str) -> str:
    if value not in PRIORITIES:
        raise ValueError(f"must be one of {', '.join(PRIORITIES)}")
    return value


def _cache(value: str) -> CacheMode:
    try:
        return CacheMode(value)
    except ValueError:
        raise ValueError("must be one of use, bypass, refresh") from None


def _strategy(value: str) -> str:
    if value not in {"cost", "latency", "weighted", "round_robin"}:
        raise ValueError("must be one of cost, latency, weighted, round_robin")
    return value


def _flag(value: str) -> bool:
    if value not in {"1", "true", "0", "false"}:
        raise ValueError("must be true or false")
    return value in {"1", "true"}


def _idempotency_key(value: bytes) -> str:
    if not value or len(value) > MAX_IDEMPOTENCY_KEY_BYTES or not value.isascii():
        raise InvalidRequestError(
            f"idempotency-key must be 1 to {MAX_IDEMPOTENCY_KEY_BYTES} ASCII characters",
            param="idempotency-key",
        )
    return value.decode("ascii")


_READERS = {
    "workspace": ("workspace", _name),
    "mission": ("mission", _name),
    "agent": ("agent", _name),
    "task": ("task", _name),
    "quality": ("quality", _quality),
    "max-cost-usd": ("max_cost_nano", _cost),
    "priority": ("priority", _priority),
    "cache": ("cache", _cache),
    "approval": ("approval", _name),
    "strategy": ("strategy", _strategy),
    "debug": ("debug", _flag),
}
