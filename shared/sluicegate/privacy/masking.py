"""What of a JSON payload may be kept, by its class.

`public` is kept, `internal` loses personal data, `sensitive` keeps of text its length and digest only.
Secrets are removed from all of them.
"""

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any

from sluicegate.privacy.personal import mask_personal_data, may_hold_personal_data
from sluicegate.privacy.secrets import STAND_IN, is_secret_field, may_hold_secrets, without_secrets

MAX_DEPTH = 32

_NAMES_REMEMBERED = 4_096


class PayloadFilter:
    """Masks payloads.

    Args:
        identifiers: fields whose text stays in a sensitive payload, masked as an internal one's.
    """

    def __init__(self, identifiers: Collection[str] = ()) -> None:
        self._identifiers = frozenset(identifiers)
        self._secret_names: dict[str, bool] = {}

    def __call__(self, payload: Mapping[str, Any], payload_class: str) -> Mapping[str, Any]:
        """The payload with stand-ins; the same object where nothing had to be replaced.

        Args:
            payload: a JSON object.
            payload_class: `public`, `internal` or `sensitive`; anything else is taken for the last.
        """
        if payload_class not in {"public", "internal"}:
            return self._object(payload, _digest, 0)
        if self._is_harmless(payload):
            return payload
        return self._object(payload, without_secrets if payload_class == "public" else _masked, 0)

    def _is_harmless(self, payload: Mapping[str, Any]) -> bool:
        """Whether a flat payload surely has nothing to mask; the fast way of nearly all."""
        texts = []
        for name, value in payload.items():
            if type(value) is str:
                texts.append(value)
            elif value is not None and type(value) not in {int, bool}:
                return False
            if self._is_secret(name):
                return False
        text = "\n".join(texts)
        return not may_hold_personal_data(text) and not may_hold_secrets(text)

    def _is_secret(self, name: str) -> bool:
        known = self._secret_names.get(name)
        if known is None:
            known = is_secret_field(name)
            if len(self._secret_names) < _NAMES_REMEMBERED:
                self._secret_names[name] = known
        return known

    def _object(self, value: Mapping[str, Any], keep: Callable[[str], Any], depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, member in value.items():
            # A name can be data, too: {"alice@example.com": 3}.
            shown = _masked(name)
            if self._is_secret(name) and member is not None and not isinstance(member, bool):
                result[shown] = STAND_IN
            else:
                own = _masked if keep is _digest and name in self._identifiers else keep
                result[shown] = self._value(member, own, depth + 1)
        return result

    def _value(self, value: Any, keep: Callable[[str], Any], depth: int) -> Any:
        if isinstance(value, str):
            return keep(value)
        if depth > MAX_DEPTH:
            return "[nested too deep]"
        if isinstance(value, Mapping):
            return self._object(value, keep, depth)
        if isinstance(value, list | tuple):
            return [self._value(item, keep, depth + 1) for item in value]
        return value


def _masked(text: str) -> str:
    return mask_personal_data(without_secrets(text))


def _digest(text: str) -> dict[str, Any]:
    # Of the text as it was without secrets: a digest of a short secret would tell it to who tries all.
    plain = without_secrets(text)
    return {"characters": len(text), "sha256": sha256(plain.encode("utf-8", "replace")).hexdigest()}
