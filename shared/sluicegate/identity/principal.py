"""The caller, once known."""

from dataclasses import dataclass
from typing import Literal

Plan = Literal["free", "pro", "studio", "enterprise"]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as established by a key or a token. Every field comes from the credential.

    `key_id` is the API key's public id (`token.` and the user for a JWT); `permissions` is the union
    of the roles' permissions narrowed by the key's scopes; `expires_at` is in epoch seconds.
    `allowed_models` holds catalogue ids or shell patterns; empty means all.
    """

    tenant: str
    workspace: str
    user: str
    key_id: str
    roles: frozenset[str]
    permissions: frozenset[str]
    plan: Plan = "free"
    timezone: str = "UTC"
    allowed_models: tuple[str, ...] = ()
    expires_at: float | None = None
    method: Literal["api_key", "jwt"] = "api_key"
