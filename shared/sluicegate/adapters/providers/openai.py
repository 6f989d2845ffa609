"""OpenAI, and every server that speaks its protocol: vLLM, Ollama, and others."""

from collections.abc import Mapping

from sluicegate.adapters.providers.http_provider import HttpProvider, HttpSender, Secret, revealed
from sluicegate.completions.types import UpstreamCall, UpstreamFailure, UpstreamReply
from sluicegate.kernel.models import Dialect

OPENAI_URL = "https://api.openai.com/v1"

_PATHS = {
    Dialect.OPENAI_CHAT: "/chat/completions",
    Dialect.OPENAI_RESPONSES: "/responses",
    Dialect.OPENAI_EMBEDDINGS: "/embeddings",
}


class OpenAIProvider(HttpProvider):
    """A server that speaks OpenAI's protocol (https://platform.openai.com/docs/api-reference).

    Args:
        name: the provider's name in the catalogue.
        base_url: up to and including the version, as OpenAI's own clients take it.
        api_key: sent as a bearer token; may be None where the server asks for none. OpenAI's asks.
        client: the HTTP client.
        organization: OpenAI organisation to charge.
        extra_headers: sent with every request; may replace what this class would send.
        responses: whether the server has `/responses`; None: only OpenAI's has.
        credential_name: the setting named in the remedy when the key is missing.
        connect_s: seconds to get a connection.
    """

    kind = "openai"

    def __init__(
        self,
        name: str,
        base_url: str,
        api_key: Secret | None,
        client: HttpSender,
        organization: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        *,
        responses: bool | None = None,
        credential_name: str = "OPENAI_API_KEY",
        connect_s: float = 5.0,
    ) -> None:
        key = revealed(name, api_key)
        headers: dict[str, str] = {}
        if key:
            headers["authorization"] = f"Bearer {key}"
        if organization:
            headers["openai-organization"] = organization
        headers |= {field.lower(): value for field, value in (extra_headers or {}).items()}
        super().__init__(name, base_url, client, connect_s=connect_s, headers=headers)
        self._keyless = not key
        self._credential_name = credential_name
        paths = dict(_PATHS)
        if not (self._is_openai if responses is None else responses):
            del paths[Dialect.OPENAI_RESPONSES]
        self.dialects = tuple(paths)
        self._endpoints = {dialect: self._pair(path) for dialect, path in paths.items()}

    @property
    def _is_openai(self) -> bool:
        return self._host == "api.openai.com"

    def ready(self) -> str | None:
        if self._keyless and self._is_openai:
            return f"provider {self.name} has no API key; set {self._credential_name}"
        return None

    async def send(self, call: UpstreamCall) -> UpstreamReply:
        """Send one try (`completions.types.Provider`)."""
        if self._keyless:
            self._usable()
        endpoints = self._endpoints.get(call.dialect)
        if endpoints is None:
            raise UpstreamFailure("connect", f"{self.name} does not speak {call.dialect}", sent=False)
        return await self._send(endpoints[call.stream], call, call.body)
