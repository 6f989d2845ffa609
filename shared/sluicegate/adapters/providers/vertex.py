"""Vertex AI: Gemini and open models through its OpenAI-compatible endpoint, Claude through rawPredict."""

from urllib.parse import quote

import orjson

from sluicegate.adapters.providers.google_tokens import TokenError, TokenSource
from sluicegate.adapters.providers.http_provider import CHECK_S, Endpoint, HttpProvider, HttpSender
from sluicegate.completions.types import UpstreamCall, UpstreamFailure, UpstreamReply
from sluicegate.kernel.models import Dialect

ANTHROPIC_VERSION = "vertex-2023-10-16"

_MODELS_REMEMBERED = 256


class VertexProvider(HttpProvider):
    """Vertex AI in one project and region.

    The call's dialect decides the way: `openai.chat` goes to the OpenAI-compatible endpoint
    (https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai), `anthropic.messages` to the
    model's publisher (https://docs.anthropic.com/en/api/claude-on-vertex-ai).

    Args:
        name: the provider's name in the catalogue.
        project: Google Cloud project id; empty where none is set.
        region: `us-east5`, `europe-west1`, …, or `global`.
        client: the HTTP client.
        tokens: where access tokens come from; closed with the provider.
        base_url: another address in place of Google's.
        connect_s: seconds to get a connection.
    """

    kind = "vertex"
    dialects: tuple[Dialect, ...] = (Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES)

    def __init__(
        self,
        name: str,
        project: str,
        region: str,
        client: HttpSender,
        tokens: TokenSource,
        *,
        base_url: str | None = None,
        connect_s: float = 5.0,
    ) -> None:
        host = "aiplatform.googleapis.com" if region == "global" else f"{region}-aiplatform.googleapis.com"
        place = f"/v1/projects/{quote(project, safe=':')}/locations/{quote(region, safe='')}"
        root = (base_url or f"https://{host}").rstrip("/") + place
        super().__init__(name, root, client, connect_s=connect_s, headers={})
        self._project = project
        self._tokens = tokens
        self._chat = self._pair("/endpoints/openapi/chat/completions")
        counting = "/publishers/anthropic/models/count-tokens:rawPredict"
        self._counting = self._endpoint("POST", counting, "application/json")
        self._claude: dict[str, tuple[Endpoint, Endpoint]] = {}

    def spoken(self, model: str) -> tuple[Dialect, ...]:
        """Claude speaks Anthropic's dialect there, every other model OpenAI's."""
        return (Dialect.ANTHROPIC_MESSAGES,) if model.startswith("claude") else (Dialect.OPENAI_CHAT,)

    def ready(self) -> str | None:
        """As for every provider. Credentials are known to be missing only after a call or a check."""
        if not self._project:
            return f"provider {self.name} has no project; set GCP_PROJECT_ID"
        problem = self._tokens.problem()
        return None if problem is None else f"provider {self.name}: {problem}"

    async def send(self, call: UpstreamCall) -> UpstreamReply:
        """Send one try (`completions.types.Provider`)."""
        token = await self._token(min(call.first_byte_s, call.total_s))
        if call.dialect is Dialect.OPENAI_CHAT:
            endpoints, body = self._chat, call.body
        elif call.dialect is Dialect.ANTHROPIC_MESSAGES:
            endpoints, body = self._publisher(call.model), claude_body(call.body)
        else:
            raise UpstreamFailure("connect", f"{self.name} does not speak {call.dialect}", sent=False)
        reply = await self._send(endpoints[call.stream], call, body, [_bearer(token)])
        if reply.status == 401:
            self._tokens.reject(token)
        return reply

    async def count_tokens(self, call: UpstreamCall) -> UpstreamReply:
        """Count the tokens of a request to Claude (`completions.types.TokenCounter`)."""
        token = await self._token(min(call.first_byte_s, call.total_s))
        body = orjson.dumps({"anthropic_version": ANTHROPIC_VERSION, **orjson.loads(call.body)})
        reply = await self._send(self._counting, call, body, [_bearer(token)])
        if reply.status == 401:
            self._tokens.reject(token)
        return reply

    async def check(self) -> None:
        """Get a token and ask for the region's description.

        Raises:
            UpstreamFailure: no credentials, no answer, an answer of 5xx, or access was refused.
        """
        await self._check("", [_bearer(await self._token(CHECK_S))])

    async def close(self) -> None:
        await self._tokens.close()

    async def _token(self, wait_s: float) -> bytes:
        if not self._project:
            self._usable()
        try:
            return await self._tokens.token(wait_s)
        except TokenError as error:
            raise UpstreamFailure("connect", f"{self.name}: {error}", sent=False) from None

    def _publisher(self, model: str) -> tuple[Endpoint, Endpoint]:
        endpoints = self._claude.get(model)
        if endpoints is None:
            if len(self._claude) >= _MODELS_REMEMBERED:
                self._claude.clear()
            path = f"/publishers/anthropic/models/{quote(model, safe='@')}"
            endpoints = self._claude[model] = self._pair(f"{path}:rawPredict", f"{path}:streamRawPredict")
        return endpoints


def claude_body(body: bytes) -> bytes:
    """A Messages request as Vertex AI wants it: the version in the body, the model in the path only."""
    request = orjson.loads(body)
    request.pop("model", None)
    request["anthropic_version"] = ANTHROPIC_VERSION
    return orjson.dumps(request)


def _bearer(token: bytes) -> tuple[bytes, bytes]:
    return (b"authorization", b"Bearer " + token)
