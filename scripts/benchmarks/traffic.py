"""The requests that are sent and the answer that upstream gives: the same for everyone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

MODEL = "gpt-4o-mini"
PATH = "/v1/chat/completions"
UPSTREAM_KEY = "sk-upstream"

_MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Hello, how are you today?"},
]
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello there! How can I help you today?"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21},
}
ANSWER = json.dumps(_ANSWER, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Request:
    """One HTTP request, to be sent again and again."""

    port: int
    body: bytes
    path: str = PATH
    headers: Mapping[str, str] | None = None

    @property
    def all_headers(self) -> dict[str, str]:
        return {"content-type": "application/json", **(self.headers or {})}

    def raw(self) -> bytes:
        """As it goes over the wire."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.all_headers.items())
        head = f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n{lines}"
        return f"{head}content-length: {len(self.body)}\r\n\r\n".encode() + self.body


def chat(**extra: object) -> bytes:
    """The body of a chat completion request."""
    return json.dumps({"model": MODEL, "messages": _MESSAGES, "max_tokens": 64, **extra}).encode()


PLAIN = chat()
CACHEABLE = chat(temperature=0)
STREAMED = chat(stream=True)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
