"""What lying providers send: plays by name, and the requests that call for them."""

# ruff: noqa: E501 - a case to a line reads better than a case to ten

import json

CHAT, MESSAGES, RESPONSES, EMBEDDINGS = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
)
OPENAI, ANTHROPIC = "gpt-4.1-nano", "claude-haiku-4-5"


def head(
    content_type: str = "application/json", length: int | None = None, status="200 OK", extra=""
) -> bytes:
    size = "" if length is None else f"content-length: {length}\r\n"
    return f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{size}{extra}connection: close\r\n\r\n".encode()


def whole(answer, **options) -> list:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return [head(length=len(body), **options) + body]


def stream(*events, **options) -> list:
    """A stream of `events`: bytes as they are, anything else as the data of an event."""
    sent = [
        each if isinstance(each, bytes) else b"data: " + json.dumps(each).encode() + b"\n\n"
        for each in events
    ]
    return [head("text/event-stream", **options), *sent]


def chat(**changes) -> dict:
    message = {"role": "assistant", "content": "fine"}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    } | changes  # fmt: skip


def message(**changes) -> dict:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": "fine"}],
        "usage": {"input_tokens": 10, "output_tokens": 5},
    } | changes  # fmt: skip


def delta(text="fine", **changes) -> dict:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    } | changes


HUGE = 2**64 - 1
ODD = [None, 0, -1, 1.5, True, "x", "", [], {}, [None], [1], [[]], [{}], [""], {"x": 1}, HUGE, 1e300]

CHAT_WHOLES = {
    "garbage": whole(b"\x00\xff\xfe<html>"),
    "empty": whole(b""),
    "array": whole(b"[]"),
    "text": whole(b'"fine"'),
    "nan": whole(b'{"choices": NaN}'),
    "html": whole(b"<html>ok</html>", content_type="text/html"),
    "deep": whole(b'{"choices":' + b"[" * 900 + b"]" * 900 + b"}"),
    "deeper": whole(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "error-in-200": whole({"error": {"message": "no", "type": "server_error"}}),
    "no-usage": whole({k: v for k, v in chat().items() if k != "usage"}),
    "redirect": whole(b"", status="302 Found", extra="location: http://127.0.0.1:1/\r\n"),
    "informational": [b"HTTP/1.1 102 Processing\r\n\r\n" * 5, *whole(chat())],
    "informational-flood": [b"HTTP/1.1 102 Processing\r\n\r\n" * 50_000, *whole(chat())],
    "switching": [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"],
    "no-http": [b"SSH-2.0-OpenSSH_9.6\r\n"],
    "giant-head": [b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n"],
    "head-injection": whole(chat(id="a\r\nx-evil: 1", model="m\r\nset-cookie: evil=1")),
    "reset-at-once": ["reset"],
    "reset-in-head": [b"HTTP/1.1 200 OK\r\ncont", "reset"],
    "reset-in-body": [head(length=5000) + b'{"choices":', "reset"],
    "close-in-body": [head(length=5000) + b'{"choices":'],
    "compressed": whole(b"\x1f\x8b\x08\x00aaaa", extra="content-encoding: gzip\r\n"),
    "two-lengths": [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 20\r\n\r\n{}"],
    "negative-length": [b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\n{}"],
    "bad-chunk": [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}"],
    "endless-length": [b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\n{}"],
    "status-999": whole(b"{}", status="999 What"),
    "status-000": whole(b"{}", status="000 What"),
    "status-99": whole(b"{}", status="99 What"),
    "status-204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "429-odd": whole({"error": []}, status="429 Slow", extra="retry-after: -5\r\n"),
    "429-huge": whole({"error": "x" * 100_000}, status="429 Slow", extra="retry-after: 99999999\r\n"),
    "401": whole({"error": {"message": "Incorrect API key provided: sk-upstream-hostile-0123456789"}}, status="401 No"),
    "400-secret": whole({"error": {"message": "bad key sk-upstream-hostile-0123456789"}}, status="400 Bad"),
    "500-odd": whole(b"\xff\xfe", status="500 Oops"),
    **{f"choices-{n}": whole(chat(choices=odd)) for n, odd in enumerate(ODD)},
    **{f"message-{n}": whole(chat(choices=[{"message": odd}])) for n, odd in enumerate(ODD)},
    **{f"content-{n}": whole(chat(choices=[{"message": {"content": odd}}])) for n, odd in enumerate(ODD)},
    **{f"calls-{n}": whole(chat(choices=[{"message": {"tool_calls": odd}}])) for n, odd in enumerate(ODD)},
    **{
        f"function-{n}": whole(chat(choices=[{"message": {"tool_calls": [{"function": odd}]}}]))
        for n, odd in enumerate(ODD)
    },
    **{
        f"arguments-{n}": whole(
            chat(choices=[{"message": {"tool_calls": [{"id": odd, "function": {"name": odd, "arguments": odd}}]}}])
        )
        for n, odd in enumerate(ODD)
    },
    **{
        f"thinking-{n}": whole(chat(choices=[{"message": {"thinking_blocks": odd, "reasoning_content": odd}}]))
        for n, odd in enumerate(ODD)
    },
    **{f"finish-{n}": whole(chat(choices=[{"message": {}, "finish_reason": odd}])) for n, odd in enumerate(ODD)},
    **{f"usage-{n}": whole(chat(usage=odd)) for n, odd in enumerate(ODD)},
    **{
        f"figures-{n}": whole(chat(usage={"prompt_tokens": odd, "completion_tokens": odd, "total_tokens": odd}))
        for n, odd in enumerate(ODD)
    },
    **{
        f"details-{n}": whole(
            chat(
                usage={
                    "prompt_tokens": 10, "completion_tokens": 5,
                    "prompt_tokens_details": {"cached_tokens": odd},
                    "completion_tokens_details": {"reasoning_tokens": odd},
                }
            )
        )
        for n, odd in enumerate(ODD)
    },
    **{f"id-{n}": whole(chat(id=odd, model=odd, created=odd)) for n, odd in enumerate(ODD)},
}  # fmt: skip

CHAT_STREAMS = {
    "s-nothing": stream(),
    "s-done": stream(b"data: [DONE]\n\n"),
    "s-json": whole(chat()),
    "s-no-done": stream(delta()),
    "s-no-usage": stream(delta(), b"data: [DONE]\n\n"),
    "s-garbage": stream(delta(), b"\xff\xfe\x00\n\n", b"data: [DONE]\n\n"),
    "s-not-json": stream(delta(), b"data: {oops\n\n", b"data: [DONE]\n\n"),
    "s-after-done": stream(delta(), b"data: [DONE]\n\n", delta("more")),
    "s-giant": stream(b"data: " + b"x" * 3_000_000 + b"\n\n"),
    "s-giant-never": stream(delta(), b"data: " + b"x" * 3_000_000),
    "s-many": stream(*[b"data: {}\n\n" * 10_000] * 3, b"data: [DONE]\n\n"),
    "s-comments": stream(b": ping\n\n" * 10_000, delta(), b"data: [DONE]\n\n"),
    "s-reset": stream(delta(), "reset"),
    "s-stall": stream(delta(), 3.0),
    "s-error": stream(delta(), {"error": {"message": "boom", "code": 500}}),
    "s-error-odd": stream(delta(), {"error": "boom"}),
    "s-error-list": stream(delta(), {"error": [1]}),
    "s-error-status": stream(delta(), {"error": {"message": "boom", "code": 200}}),
    "s-error-huge": stream(delta(), {"error": {"message": "boom", "code": HUGE}}),
    "s-crlf": stream(b"data: {}\r\n\r\n", b"event: x\rdata: {}\r\r", b"data: [DONE]\r\n\r\n"),
    **{f"s-choices-{n}": stream(delta(choices=odd), b"data: [DONE]\n\n") for n, odd in enumerate(ODD)},
    **{f"s-event-{n}": stream(odd, b"data: [DONE]\n\n") for n, odd in enumerate(ODD)},
    **{f"s-delta-{n}": stream(delta(choices=[{"index": odd, "delta": odd}]), b"data: [DONE]\n\n") for n, odd in enumerate(ODD)},
    **{
        f"s-fields-{n}": stream(
            delta(choices=[{"index": 0, "delta": {"role": odd, "content": odd, "tool_calls": odd, "reasoning_content": odd,
                            "refusal": odd}, "finish_reason": odd}]),
            b"data: [DONE]\n\n",
        )
        for n, odd in enumerate(ODD)
    },
    **{
        f"s-calls-{n}": stream(
            delta(choices=[{"index": 0, "delta": {"tool_calls": [{"index": odd, "id": odd, "function": odd}]}}]),
            delta(choices=[{"index": 0, "delta": {"tool_calls": [
                {"index": 0, "id": odd, "function": {"name": odd, "arguments": odd}}]}}]),
            b"data: [DONE]\n\n",
        )
        for n, odd in enumerate(ODD)
    },
    **{f"s-usage-{n}": stream(delta(), delta(choices=[], usage=odd), b"data: [DONE]\n\n") for n, odd in enumerate(ODD)},
    **{
        f"s-figures-{n}": stream(
            delta(), delta(choices=[], usage={"prompt_tokens": odd, "completion_tokens": odd}), b"data: [DONE]\n\n"
        )
        for n, odd in enumerate(ODD)
    },
}  # fmt: skip


def event(kind: str, **fields) -> bytes:
    return f"event: {kind}\ndata: ".encode() + json.dumps({"type": kind, **fields}).encode() + b"\n\n"


START = event("message_start", message=message(content=[], stop_reason=None))
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "fine"})
STOPPED = event("content_block_stop", index=0)
ENDED = event(
    "message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5}
)
STOP = event("message_stop")

MESSAGE_WHOLES = {
    "m-no-usage": whole({k: v for k, v in message().items() if k != "usage"}),
    "m-error-in-200": whole({"type": "error", "error": {"type": "api_error", "message": "no"}}),
    **{f"m-content-{n}": whole(message(content=odd)) for n, odd in enumerate(ODD)},
    **{f"m-block-{n}": whole(message(content=[{"type": odd, "text": odd}])) for n, odd in enumerate(ODD)},
    **{f"m-text-{n}": whole(message(content=[{"type": "text", "text": odd}])) for n, odd in enumerate(ODD)},
    **{
        f"m-tool-{n}": whole(message(content=[{"type": "tool_use", "id": odd, "name": odd, "input": odd}]))
        for n, odd in enumerate(ODD)
    },
    **{
        f"m-thinking-{n}": whole(message(content=[{"type": "thinking", "thinking": odd, "signature": odd}]))
        for n, odd in enumerate(ODD)
    },
    **{f"m-stop-{n}": whole(message(stop_reason=odd, stop_sequence=odd, id=odd, model=odd)) for n, odd in enumerate(ODD)},
    **{f"m-usage-{n}": whole(message(usage=odd)) for n, odd in enumerate(ODD)},
    **{
        f"m-figures-{n}": whole(
            message(
                usage={"input_tokens": odd, "output_tokens": odd, "cache_read_input_tokens": odd,
                       "cache_creation_input_tokens": odd, "cache_creation": {"ephemeral_1h_input_tokens": odd}}
            )
        )
        for n, odd in enumerate(ODD)
    },
}  # fmt: skip

MESSAGE_STREAMS = {
    "n-nothing": stream(),
    "n-stop-first": stream(STOP),
    "n-no-start": stream(TEXT, ENDED, STOP),
    "n-no-stop": stream(START, BLOCK, TEXT),
    "n-two-starts": stream(START, START, BLOCK, BLOCK, TEXT, TEXT, STOPPED, STOPPED, ENDED, ENDED, STOP, STOP),
    "n-error": stream(START, event("error", error={"type": "overloaded_error", "message": "x"})),
    "n-error-odd": stream(START, event("error", error=[1])),
    "n-unknown": stream(START, event("what_is_this", x=1), BLOCK, TEXT, STOPPED, ENDED, STOP),
    **{f"n-message-{n}": stream(event("message_start", message=odd), BLOCK, TEXT, STOPPED, ENDED, STOP) for n, odd in enumerate(ODD)},
    **{f"n-block-{n}": stream(START, event("content_block_start", index=odd, content_block=odd), TEXT, STOP) for n, odd in enumerate(ODD)},
    **{
        f"n-tool-{n}": stream(
            START, event("content_block_start", index=0, content_block={"type": "tool_use", "id": odd, "name": odd, "input": odd}),
            event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": odd}), STOPPED, ENDED, STOP)
        for n, odd in enumerate(ODD)
    },
    **{f"n-delta-{n}": stream(START, BLOCK, event("content_block_delta", index=odd, delta=odd), ENDED, STOP) for n, odd in enumerate(ODD)},
    **{
        f"n-text-{n}": stream(
            START, BLOCK, event("content_block_delta", index=0, delta={"type": "text_delta", "text": odd}),
            event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": odd}),
            event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": odd}), ENDED, STOP)
        for n, odd in enumerate(ODD)
    },
    **{f"n-ended-{n}": stream(START, BLOCK, TEXT, event("message_delta", delta=odd, usage=odd), STOP) for n, odd in enumerate(ODD)},
    **{
        f"n-figures-{n}": stream(
            START, BLOCK, TEXT,
            event("message_delta", delta={"stop_reason": odd}, usage={"output_tokens": odd, "input_tokens": odd}), STOP)
        for n, odd in enumerate(ODD)
    },
}  # fmt: skip


def request(path: str, model: str, play: str, *, streamed: bool) -> dict:
    text = f"play:{play} the-prompt-nobody-may-log"
    body: dict = {"model": model, "stream": streamed}
    if path == RESPONSES:
        return body | {"input": text}
    if path == EMBEDDINGS:
        return {"model": model, "input": text}
    return body | {"messages": [{"role": "user", "content": text}], "max_tokens": 50}


PLAYS = CHAT_WHOLES | CHAT_STREAMS | MESSAGE_WHOLES | MESSAGE_STREAMS
CASES = [
    (path, model, name, streamed)
    for path in (CHAT, MESSAGES, RESPONSES)
    for model, plays in (
        (
            OPENAI,
            [
                *((n, False) for n in CHAT_WHOLES),
                *((n, True) for n in CHAT_STREAMS),
                ("garbage", True),
                ("401", True),
            ],
        ),
        (
            ANTHROPIC,
            [
                *((n, False) for n in MESSAGE_WHOLES),
                *((n, True) for n in MESSAGE_STREAMS),
                ("garbage", False),
            ],
        ),
    )
    for name, streamed in plays
] + [(EMBEDDINGS, "text-embedding-3-small", name, False) for name in CHAT_WHOLES]
