"""Vertex AI as far as the gateway sees it: tokens, Gemini's OpenAI endpoint, Claude's rawPredict.

The scripted model answers. What Google would refuse is refused here: another project, a wrong token, a
body that names a model or no version.
"""

import asyncio
import re
import signal
import sys
from dataclasses import replace

import orjson

from sluicegate.adapters.providers.scripted.server import ScriptedServer
from sluicegate.kernel.models import Dialect

TOKEN = b"ya29.e2e"
PLACE = re.compile(rb"/v1/projects/e2e-project/locations/us-central1(?P<rest>/.+)?")
CLAUDE = re.compile(rb"/publishers/anthropic/models/(?P<model>[^:]+):(?P<verb>rawPredict|streamRawPredict)")


class VertexServer(ScriptedServer):
    def answer(self, request):
        path = request.path.partition(b"?")[0]
        if path == b"/token":
            grant = {"access_token": TOKEN.decode(), "expires_in": 3600, "token_type": "Bearer"}
            return self._json(orjson.dumps(grant))
        place = PLACE.fullmatch(path)
        if place is None:
            return super().answer(request)
        if request.credential != TOKEN:
            return self.engine.refusal(Dialect.OPENAI_CHAT, 401, "this is no access token of Google's")
        rest = place["rest"] or b""
        if rest == b"/endpoints/openapi/chat/completions":
            return super().answer(replace(request, path=b"/v1/chat/completions"))
        claude = CLAUDE.fullmatch(rest)
        if claude is None:
            return self._json(b"{}")
        body = orjson.loads(request.body)
        if claude["model"] == b"count-tokens":
            if "model" not in body or body.pop("anthropic_version", None) != "vertex-2023-10-16":
                return self.engine.refusal(Dialect.ANTHROPIC_MESSAGES, 400, "model or version is wrong")
            return super().answer(
                replace(request, path=b"/v1/messages/count_tokens", body=orjson.dumps(body))
            )
        streamed = claude["verb"] == b"streamRawPredict"
        if "model" in body or body.pop("anthropic_version", None) != "vertex-2023-10-16":
            return self.engine.refusal(Dialect.ANTHROPIC_MESSAGES, 400, "model or anthropic_version is wrong")
        if streamed is not (body.get("stream") is True):
            return self.engine.refusal(Dialect.ANTHROPIC_MESSAGES, 400, "stream belongs to streamRawPredict")
        body["model"] = claude["model"].decode()
        return super().answer(replace(request, path=b"/v1/messages", body=orjson.dumps(body)))


async def main() -> None:
    server = VertexServer()
    sys.stdout.write(await server.start() + "\n")
    sys.stdout.flush()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await server.close()


if __name__ == "__main__":
    asyncio.run(main())
