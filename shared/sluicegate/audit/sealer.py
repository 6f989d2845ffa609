"""From actions to leaves and sealed parts: classified, masked, committed to, encrypted, signed."""

import asyncio
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from os import urandom
from typing import Any

import orjson

from sluicegate.audit.actions import AuditAction, PayloadClass
from sluicegate.audit.canonical_json import encode
from sluicegate.audit.entry import leaf_content
from sluicegate.audit.errors import EncodingError
from sluicegate.audit.keyring import Keyring, Person
from sluicegate.audit.keys import Signer
from sluicegate.audit.policy import AuditPolicy
from sluicegate.audit.ports import PayloadMask
from sluicegate.audit.sealing import SALT_SIZE, commitment, encode_private, one_off_pseudonym, seal
from sluicegate.audit.tiles import MAX_ENTRY_SIZE
from sluicegate.kernel.clock import Clock

# Sealing is all computation: after so many entries others get their turn on the event loop.
_BREATH = 64
_MAX_IN_LEAF = 48_000
_CLASSES_REMEMBERED = 1_000


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """An entry ready to be appended: its leaf, and its sealed part, None where nothing may be kept."""

    leaf: bytes
    sealed: bytes | None


class Sealer:
    """Makes entries of actions.

    Args:
        signer: the entry-signing key.
        mask: what of a payload may be kept.
    """

    def __init__(
        self, keyring: Keyring, signer: Signer, mask: PayloadMask, policy: AuditPolicy, clock: Clock
    ) -> None:
        self._keyring = keyring
        self._signer = signer
        self._mask = mask
        self._policy = policy
        self._clock = clock
        self._classes: dict[tuple[str, PayloadClass | None], PayloadClass] = {}

    async def seal(self, actions: Sequence[AuditAction]) -> list[SealedEntry]:
        """One entry for each action, in their order.

        Raises:
            DependencyUnavailableError: keys cannot be had now.
        """
        people: dict[str, set[str]] = defaultdict(set)
        for action in actions:
            people[action.tenant].update(action.people)
        known = {
            tenant: await self._keyring.people(tenant, names, create=True) for tenant, names in people.items()
        }
        now_ms = int(self._clock.now() * 1000)
        entries = []
        for place, action in enumerate(actions):
            if place % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            # A clock ahead of ours must not keep a payload for longer than its time.
            action.at_ms = min(action.at_ms, now_ms)
            entries.append(await self._entry(action, *known[action.tenant]))
        return entries

    async def _entry(
        self, action: AuditAction, people: Mapping[str, Person], tenant_erased_ms: int | None
    ) -> SealedEntry:
        payload_class = self._class(action)
        payload = self._kept(action.payload, payload_class)
        actor, subject = people[action.user], people[action.subject]
        erased = any(
            moment is not None and action.at_ms <= moment
            for moment in (tenant_erased_ms, actor.erased_ms, subject.erased_ms)
        )
        salt = urandom(SALT_SIZE)
        private = self._private(action, payload, salt)
        sealed = None
        user = one_off_pseudonym()
        if not erased and actor.key is not None and subject.key is not None:
            sealed = seal(private, action.tenant, action.id, actor.key, subject.key)
            user = actor.key.pseudonym
        content = leaf_content(
            id=action.id,
            at_ms=action.at_ms,
            tenant=action.tenant,
            user=user,
            workspace=action.workspace,
            action=action.action,
            domain=action.domain,
            result=action.result,
            payload_class=payload_class,
            commitment=commitment(private, salt),
            sealed=None if sealed is None else sha256(sealed).digest(),
            shown=self._in_leaf(action, payload_class, payload),
        )
        content["signature"] = b64encode(await self._signer.sign(_canonical(content))).decode()
        return SealedEntry(_canonical(content), sealed)

    def _class(self, action: AuditAction) -> PayloadClass:
        place = action.action, action.payload_class
        known = self._classes.get(place)
        if known is None:
            known = self._policy.payload_class(*place)
            if len(self._classes) < _CLASSES_REMEMBERED:
                self._classes[place] = known
        return known

    def _kept(self, payload: Mapping[str, Any], payload_class: PayloadClass) -> Mapping[str, Any]:
        # Names of fields may be long, too, and what is masked may grow: bound what comes in, then what stays.
        limit = self._policy.batch.payload_bytes
        try:
            raw = encode(payload)
            if len(raw) <= limit:
                kept = self._mask(payload, payload_class)
                if kept is payload or len(encode(kept)) <= limit:
                    return kept
        except EncodingError:
            # What has no canonical form (a number beyond 2^53) is named, never a reason to lose the entry.
            raw = orjson.dumps(payload, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS)
            return {"unencodable": True, "bytes": len(raw), "digest": sha256(raw).hexdigest()}
        return {"too_large": True, "bytes": len(raw), "digest": sha256(raw).hexdigest()}

    @staticmethod
    def _private(action: AuditAction, payload: Mapping[str, Any], salt: bytes) -> bytes:
        return encode_private(
            salt=salt,
            user=action.user,
            reason=action.reason,
            ip=action.ip,
            user_agent=action.user_agent,
            payload=payload,
        )

    def _in_leaf(
        self, action: AuditAction, payload_class: PayloadClass, payload: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        if payload_class is not PayloadClass.PUBLIC or action.action not in self._policy.in_leaf:
            return None
        return payload if len(encode(payload)) <= _MAX_IN_LEAF < MAX_ENTRY_SIZE else None


def _canonical(content: dict[str, Any]) -> bytes:
    if "public" in content["payload"]:
        return encode(content)
    # Names and base64 in one object within another: orjson's sorted form is the canonical one.
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
