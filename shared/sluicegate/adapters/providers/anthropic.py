"""Anthropic's Messages API."""

from collections.abc import Mapping

from sluicegate.adapters.providers.http_provider import HttpProvider, HttpSender, Secret, revealed
from sluicegate.completions.types import UpstreamCall, UpstreamFailure, UpstreamReply
from sluicegate.kernel.models import Dialect

ANTHROPIC_URL = "https://api.anthropic.com"
API_VERSION = "2023-06-01"


class AnthropicProvider(HttpProvider):
    """A server that speaks Anthropic's protocol (https://docs.anthropic.com/en/api/messages).

    `anthropic-beta` is passed on from a call's headers; `anthropic-version` never is, because codecs
    and translators are written for one version.

    Args:
        name: the provider's name in the catalogue.
        base_url: with or without the version at its end.
        api_key: sent as `x-api-key`; may be None where the server asks for none. Anthropic's asks.
        client: the HTTP client.
        extra_headers: sent with every request; may replace what this class would send.
        credential_name: the setting named in the remedy when the key is missing.
        connect_s: seconds to get a connection.
    """

    kind = "anthropic"
    dialects: tuple[Dialect, ...] = (Dialect.ANTHROPIC_MESSAGES,)

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: Secret | None,
        client: HttpSender,
        extra_headers: Mapping[str, str] | None = None,
        *,
        credential_name: str = "ANTHROPIC_API_KEY",
        connect_s: float = 5.0,
    ) -> None:
        key = revealed(name, api_key)
        headers = {"anthropic-version": API_VERSION}
        if key:
            headers["x-api-key"] = key
        headers |= {field.lower(): value for field, value in (extra_headers or {}).items()}
        root = base_url.rstrip("/").removesuffix("/v1") + "/v1"
        super().__init__(name, root, client, connect_s=connect_s, headers=headers)
        self._keyless = not key
        self._credential_name = credential_name
        self._endpoints = self._pair("/messages")
        self._counting = self._endpoint("POST", "/messages/count_tokens", "application/json")

    def ready(self) -> str | None:
        if self._keyless and self._host == "api.anthropic.com":
            return f"provider {self.name} has no API key; set {self._credential_name}"
        return None

    async def send(self, call: UpstreamCall) -> UpstreamReply:
        """Send one try (`completions.types.Provider`)."""
        if self._keyless:
            self._usable()
        if call.dialect is not Dialect.ANTHROPIC_MESSAGES:
            raise UpstreamFailure("connect", f"{self.name} does not speak {call.dialect}", sent=False)
        return await self._send(self._endpoints[call.stream], call, call.body)

    async def count_tokens(self, call: UpstreamCall) -> UpstreamReply:
        """Count a request's tokens (`completions.types.TokenCounter`)."""
        if self._keyless:
            self._usable()
        return await self._send(self._counting, call, call.body)
