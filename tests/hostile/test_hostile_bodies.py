"""Bodies that no client of good will sends: each gets an answer that says what is wrong, and costs nothing."""

# ruff: noqa: E501 - a case to a line reads better than a case to ten

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_rig import SECRET_TEXT

CHAT, MESSAGES, RESPONSES, EMBEDDINGS = (
    "/v1/chat/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
)
PATHS = (CHAT, MESSAGES, RESPONSES, EMBEDDINGS)
SEED = 20_261_120


def _answer(body: dict) -> list[bytes]:
    content = json.dumps(body).encode()
    return [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(content)
        + content
    ]


GOOD_CHAT = _answer({
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
})  # fmt: skip
GOOD_MESSAGE = _answer({
    "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "fine"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 10, "output_tokens": 5},
})  # fmt: skip

TEXT = f"hello {SECRET_TEXT}"
IMAGE = "data:image/png;base64,iVBORw0KGgo="
FUNCTION = {
    "name": "f",
    "description": "d",
    "parameters": {"type": "object", "properties": {}},
    "strict": True,
}
FULL: dict[str, dict] = {
    CHAT: {
        "model": "scripted-small",
        "messages": [
            {"role": "system", "content": "s", "name": "n"},
            {"role": "user", "content": [{"type": "text", "text": TEXT}, {"type": "image_url", "image_url": {"url": IMAGE, "detail": "low"}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "out"},
            {"role": "user", "content": TEXT},
        ],
        "max_tokens": 5, "temperature": 1, "top_p": 1, "n": 1, "stop": ["x"], "seed": 1, "user": "u", "stream": False,
        "stream_options": None, "logprobs": False, "top_logprobs": None, "logit_bias": {"1": 1}, "presence_penalty": 0,
        "frequency_penalty": 0, "response_format": {"type": "text"}, "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": "auto", "parallel_tool_calls": True, "reasoning_effort": None, "modalities": ["text"],
        "metadata": {"a": "b"}, "service_tier": "auto", "store": False, "prediction": None, "functions": None,
        "function_call": None, "max_completion_tokens": None, "safety_identifier": "x", "verbosity": "low",
        "web_search_options": None, "audio": None, "prompt_cache_key": "k",
    },
    MESSAGES: {
        "model": "scripted-small", "max_tokens": 50,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": TEXT},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "out"}], "is_error": False}]},
        ],
        "stream": False, "temperature": 1, "top_p": 1, "top_k": 1, "stop_sequences": ["x"], "metadata": {"user_id": "u"},
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": False}, "thinking": None, "service_tier": "auto",
        "output_config": {"effort": "low"}, "container": None, "mcp_servers": None, "context_management": None,
    },
    RESPONSES: {
        "model": "scripted-small", "instructions": "i",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": TEXT}, {"type": "input_image", "image_url": IMAGE, "detail": "low"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "id": "fc_1"},
            {"type": "function_call_output", "call_id": "c", "output": "out"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "t"}]},
            {"role": "user", "content": "x"},
        ],
        "max_output_tokens": 50, "stream": False, "temperature": 1, "top_p": 1, "tools": [{"type": "function", **FUNCTION}],
        "tool_choice": "auto", "parallel_tool_calls": True, "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "text"}, "verbosity": "low"}, "metadata": {"a": "b"}, "store": False,
        "previous_response_id": None, "include": [], "truncation": "disabled", "user": "u", "service_tier": "auto",
        "background": False, "max_tool_calls": None, "prompt": None, "conversation": None, "top_logprobs": None,
        "stream_options": None,
    },
    EMBEDDINGS: {
        "model": "scripted-embed", "input": [TEXT, "b"], "encoding_format": "float", "dimensions": 8, "user": "u",
    },
}  # fmt: skip

WRONG = [
    None, True, False, 0, -1, 1, 1.5, -0.0, 1e308, 2**31, 2**63, 2**64 - 1, "", "x", "x" * 5_000, "\x00", "\u2028",
    "😀" * 100, "../../etc/passwd", "' OR 1=1 --", [], [None], [[]], [{}], ["x"], [1], [1.5], {}, {"x": 1},
    {"type": None}, {"type": "text"}, {"type": []}, {"type": "x", "x": {}}, [{"type": "text"}], [{"type": {}}],
    {"": ""}, {"role": "user"}, {"__class__": 1}, [[[[[[[[[[[[]]]]]]]]]]]],
]  # fmt: skip


def paths_of(value, at=()):
    """Where the values in `value` are, containers included."""
    yield at
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths_of(inner, (*at, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths_of(inner, (*at, index))


def changed(body, path, value):
    """`body` with `value` at `path`; with the last step left out where `value` is `changed`."""
    copy = json.loads(json.dumps(body))
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    if value is changed:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return copy


# What the other dialect has no word for; a request with it is refused before anything is translated.
UNTRANSLATABLE = (
    "logit_bias",
    "verbosity",
    "text",
    "top_k",
    "container",
    "store",
    "output_config",
    "truncation",
)


def wrong_types(path: str, model: str | None = None) -> list[bytes]:
    """The full request with one value replaced or left out, for every value in it.

    With a `model`, what a provider of another dialect can be asked.
    """
    body = FULL[path]
    if model is not None:
        kept = {name: value for name, value in body.items() if name not in UNTRANSLATABLE}
        body = kept | {"model": model}
    bodies = []
    for place in paths_of(body):
        if place:
            bodies += [changed(body, place, value) for value in (*WRONG, changed)]
    return [json.dumps(each).encode() for each in bodies]


def mutations(path: str, count: int) -> list[bytes]:
    """The full request's bytes with some of them changed, cut, repeated or moved; the same in every run."""
    chance = random.Random(f"{SEED} {path}")
    original = json.dumps(FULL[path]).encode()
    out = []
    for _ in range(count):
        data = bytearray(original)
        for _ in range(chance.choice((1, 1, 2, 5, 50))):
            at, kind = chance.randrange(len(data)), chance.randrange(6)
            if kind == 0:
                data[at] = chance.randrange(256)
            elif kind == 1:
                del data[at : at + chance.randrange(1, 20)]
            elif kind == 2:
                data[at:at] = chance.choice(
                    (b'"', b"{", b"}", b"[", b"]", b",", b"\\", b"\x00", b"\xff", b"NaN", b"\\ud800")
                )
            elif kind == 3:
                data[at:at] = data[at : at + chance.randrange(1, 100)]
            elif kind == 4:
                del data[at:]
            else:
                data[at:at] = chance.choice((b"true", b"null", b"1e999", b"-", b"0x1", b"1" * 400))
            if not data:
                break
        out.append(bytes(data))
    return out


def _user(content: str) -> bytes:
    return (
        b'{"model":"scripted-small","max_tokens":5,"messages":[{"role":"user","content":'
        + content.encode()
        + b"}]}"
    )


def shapes() -> dict[str, bytes]:
    """Bodies that are wrong as a whole, by name."""
    chance = random.Random(SEED)
    good = _user('"x"')
    return {
        "empty": b"", "space": b" \n\t", "null": b"null", "array": b"[]", "string": b'"x"', "number": b"1", "true": b"true",
        "object": b"{}", "open": b"{", "quote": b'{"', "two": good + good, "trailing": good + b"x", "comma": b'{"model":1,}',
        "comment": b"/* x */" + good, "single": b"{'model': 'x'}", "bom": b"\xef\xbb\xbf" + good, "nul": b"\x00",
        "nul-after": good + b"\x00", "utf16": good.decode().encode("utf-16"), "utf32": good.decode().encode("utf-32"),
        "latin1": '{"model":"é"}'.encode("latin-1"), "overlong": b'{"model":"\xc0\xaf"}', "surrogate": _user('"\\ud800"'),
        "surrogates": _user('"\\udc00\\ud800"'), "raw-surrogate": b'{"model":"\xed\xa0\x80"}', "control": _user('"\x01"'),
        "nul-escape": _user('"\\u0000"'), "nan": _user("NaN"), "infinity": _user("Infinity"), "minus": _user("-Infinity"),
        "exponent": _user("1e999999"), "digits": _user("1" * 100_000), "zeros": _user("0." + "0" * 100_000 + "1"),
        "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "form": b"model=x&messages=y", "xml": b"<xml/>",
        "duplicate": b'{"model":"a","model":"scripted-small","messages":[],"messages":[{"role":"user","content":"x"}],"max_tokens":5}',
        "deep-array": _user("[" * 100_000 + "]" * 100_000), "deep-open": b"[" * 1_000_000,
        "deep-object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "deep-65": _user("[" * 65 + "]" * 65),
        "deep-1000": _user("[" * 1_000 + "]" * 1_000),
        "nodes": _user("[" + ",".join("1" * 1_000_000) + "]"), "keys": b"{" + b",".join(b'"%d":1' % n for n in range(200_000)) + b"}",
        "objects": _user("[" + ",".join(["{}"] * 300_000) + "]"),
        "messages": b'{"model":"scripted-small","max_tokens":5,"messages":[' + b",".join([b'{"role":"user","content":"x"}'] * 100_000) + b"]}",
        "tools": json.dumps({**json.loads(good), "tools": [{"type": "function", "function": {"name": "f"}}] * 10_000}).encode(),
        "long-key": b'{"' + b"k" * 1_000_000 + b'":1}', "long-text": _user('"' + "x" * 5_000_000 + '"'),
        "escapes": _user('"' + "\\u0041" * 500_000 + '"'), "quotes": _user('"' + '\\"' * 1_000_000 + '"'),
        "backslashes": b'{"a":"' + b"\\" * 1_000_001, "commas": _user('"' + "," * 3_000_000 + '"'),
        "emoji": _user('"' + "😀" * 100_000 + '"'), "combining": _user('"' + "e\u0301" * 100_000 + '"'),
        "directives": _user('"' + "[[tokens " * 100_000 + '"'), "brackets": _user('"' + "[[" * 1_000_000 + '"'),
        **{f"random-{n}": chance.randbytes(chance.randrange(1, 2_000)) for n in range(40)},
        **{f"cut-{n}": good[:n] for n in range(0, len(good), 7)},
    }  # fmt: skip


NUMBERS = {
    CHAT: ("max_tokens", "max_completion_tokens", "n", "top_logprobs", "seed", "temperature", "top_p"),
    MESSAGES: ("max_tokens", "top_k", "temperature"),
    RESPONSES: ("max_output_tokens", "max_tool_calls", "temperature", "top_logprobs"),
    EMBEDDINGS: ("dimensions",),
}
ENORMOUS = (
    -1, 0, 1, 128, 129, 4_000, 2**31 - 1, 2**31, 2**31 + 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**400, -(2**63),
    -(2**63) - 1, 1.0, 0.5, True, "1",
)  # fmt: skip


def numbers(path: str) -> list[bytes]:
    return [
        json.dumps(
            FULL[path] | {"max_tokens": None, name: value} if path == CHAT else FULL[path] | {name: value}
        ).encode()
        for name in NUMBERS[path]
        for value in ENORMOUS
    ]


def check(path: str, body: bytes, reply) -> None:
    """An answer, or an error that the caller's own client understands; never a failure of ours."""
    told = body[:200]
    assert reply is not None, told
    assert reply.status in {200, 400, 402, 404, 413, 429, 502}, (reply.status, reply.body[:300], told)
    assert reply.headers["x-sluicegate-request-id"].startswith("req_"), told
    if reply.status == 200:
        return
    answer = reply.json()
    if path == MESSAGES:
        assert answer["type"] == "error", told
        assert answer["request_id"] == reply.headers["x-sluicegate-request-id"], told
    else:
        assert {"message", "type", "param", "code"} <= set(answer["error"]), told
    assert isinstance(answer["error"]["type"], str), told
    assert answer["error"]["message"], told
    assert b"Traceback" not in reply.body, told
    assert len(reply.body) < 10_000, told


def attack(gateway, path: str, bodies: list[bytes]) -> None:
    """Post all `bodies`, a few connections at a time, each used many times."""
    with ThreadPoolExecutor(4) as pool:
        for body, reply in zip(bodies, pool.map(lambda body: gateway.post(path, body), bodies), strict=True):
            check(path, body, reply)


@pytest.mark.parametrize("path", PATHS)
def test_bodies_that_are_wrong_as_a_whole(gateway, path):
    attack(gateway, path, list(shapes().values()))


@pytest.mark.parametrize("path", PATHS)
def test_values_of_the_wrong_type_everywhere(gateway, path):
    attack(gateway, path, wrong_types(path)[::3])


@pytest.mark.parametrize("path", PATHS)
def test_numbers_of_every_size(gateway, path):
    attack(gateway, path, numbers(path))


@pytest.mark.parametrize("path", PATHS)
def test_mutated_requests(gateway, path):
    attack(gateway, path, mutations(path, 300))


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (CHAT, "claude-haiku-4-5"), (CHAT, "auto"), (MESSAGES, "gpt-5-mini"),
        (RESPONSES, "gpt-5-mini"), (RESPONSES, "claude-haiku-4-5"),
    ],
)  # fmt: skip
def test_wrong_types_on_the_way_to_another_dialect(gateway, upstream, path, model):
    upstream.plays[""] = GOOD_MESSAGE if model.startswith("claude") else GOOD_CHAT
    bodies = wrong_types(path, model)[::3]
    attack(gateway, path, bodies)
    plain = json.dumps(
        {name: v for name, v in FULL[path].items() if name not in UNTRANSLATABLE} | {"model": model}
    )
    assert gateway.post(path, plain.encode()).status == 200


def test_after_all_of_it_nothing_is_held_and_nothing_was_told(gateway):
    gateway.assert_whole()
    assert gateway.rss_mb() < 400
