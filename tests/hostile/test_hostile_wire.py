"""Requests that are not quite HTTP, clients that are slow or gone: answered, refused or cut, never stuck."""

# ruff: noqa: E501 - a case to a line reads better than a case to ten

import base64
import contextlib
import json
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_rig import read_reply, wait_for

CHAT = "/v1/chat/completions"
BODY = b'{"model":"scripted-small","max_tokens":5,"messages":[{"role":"user","content":"x"}]}'


def token(header: str) -> bytes:
    return b"Bearer " + base64.urlsafe_b64encode(header.encode()).rstrip(b"=") + b".e30.eA"


def streamed(text: str) -> bytes:
    messages = [{"role": "user", "content": text}]
    return json.dumps(
        {"model": "scripted-small", "stream": True, "max_tokens": 4000, "messages": messages}
    ).encode()


def raw(
    target: bytes = CHAT.encode(), method: bytes = b"POST", headers: bytes = b"", body: bytes = BODY
) -> bytes:
    """A request without the credential's line, which `KEY` in `headers` stands for."""
    size = b"content-length: %d\r\n" % len(body)
    return method + b" " + target + b" HTTP/1.1\r\nhost: x\r\n" + size + headers + b"\r\n" + body


def chunked(pieces: bytes) -> bytes:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    return head + b"authorization: KEY\r\n\r\n" + pieces


AUTH = b"authorization: KEY\r\n"
FINE = {
    "absolute-form": raw(b"http://elsewhere.example/v1/chat/completions", headers=AUTH),
    "x-api-key": raw(headers=b"x-api-key: BARE\r\n"),
    "both, and the other wrong": raw(headers=b"x-api-key: nope\r\nauthorization: KEY\r\n"),
    "foreign trace": raw(headers=AUTH + b"traceparent: the-prompt-nobody-may-log\r\n"),
    "byte by byte": chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    "trailers": chunked(b"%x\r\n%b\r\n0\r\nauthorization: Bearer z\r\nx: y\r\n\r\n" % (len(BODY), BODY)),
    "expect": raw(headers=AUTH + b"expect: 100-continue\r\n"),
    "upgrade not taken": raw(headers=AUTH + b"upgrade: h2c\r\nconnection: upgrade\r\n"),
    "http/1.0": b"POST /v1/chat/completions HTTP/1.0\r\n" + AUTH + b"content-length: %d\r\n\r\n" % len(BODY) + BODY,
}  # fmt: skip

REFUSED = {
    "lengths and chunks": (400, raw(headers=AUTH + b"transfer-encoding: chunked\r\n")),
    "two lengths": (400, raw(headers=AUTH + b"content-length: 5\r\n")),
    "two hosts": (400, raw(headers=AUTH + b"host: y\r\n")),
    "folded": (400, raw(headers=AUTH + b"x: a\r\n b\r\n")),
    "bare newline": (400, raw(headers=AUTH + b"x: a\ny: b\r\n")),
    "space before colon": (400, raw(headers=AUTH + b"x : a\r\n")),
    "nul in a header": (400, raw(headers=AUTH + b"x-sluicegate-task: a\0b\r\n")),
    "many headers": (431, raw(headers=AUTH + b"".join(b"a%d: b\r\n" % n for n in range(200)))),
    "large headers": (431, raw(headers=AUTH + b"x: " + b"a" * 40_000 + b"\r\n")),
    "long target": (414, raw(b"/" + b"a" * 9_000)),
    "nul in the path": (400, raw(b"/v1/%00")),
    "fragment": (400, raw(b"/v1/chat/completions#x")),
    "trace": (501, raw(method=b"TRACE")),
    "connect": (501, raw(b"x:443", b"CONNECT")),
    "http/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "tls": (501, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "websocket": (501, raw(headers=AUTH + b"upgrade: websocket\r\nconnection: upgrade\r\n")),
    "dots": (404, raw(b"/v1/x/../chat/completions", headers=AUTH)),
    "doubled slash": (404, raw(b"//v1/chat/completions", headers=AUTH)),
    "put": (405, raw(method=b"PUT", headers=AUTH)),
    "bad chunk": (400, chunked(b"zz\r\n")),
    "chunk overflow": (400, chunked(b"ffffffffffffffffff\r\n")),
    "chunk extensions": (400, chunked(b"".join(b"1;%b\r\n \r\n" % (b"a" * 5_000) for _ in range(40)))),
    "too large, declared": (413, b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + AUTH + b"content-length: 20971521\r\n\r\n"),
    "no credential": (401, raw()),
    "half a key": (401, raw(headers=b"authorization: Bearer sk-slg-\xff\xfe\r\n")),
    "endless key": (401, raw(headers=b"authorization: Bearer " + b"a" * 30_000 + b"\r\n")),
    "unsigned token": (401, raw(headers=b"authorization: " + token('{"alg":"none"}') + b"\r\n")),
    "token of odd types": (401, raw(headers=b"authorization: " + token('{"alg":["EdDSA"],"kid":{}}') + b"\r\n")),
    "token of a path": (401, raw(headers=b"authorization: " + token('{"alg":"EdDSA","kid":"../x","jku":"http://127.0.0.1:1"}') + b"\r\n")),
    "unknown control": (400, raw(headers=AUTH + b"x-sluicegate-foo: 1\r\n")),
    "control twice": (400, raw(headers=AUTH + b"x-sluicegate-max-cost-usd: 0.00001\r\nx-sluicegate-max-cost-usd: 9\r\n")),
    "control not ascii": (400, raw(headers=AUTH + b"x-sluicegate-task: \xe9\r\n")),
    "cost of infinity": (400, raw(headers=AUTH + b"x-sluicegate-max-cost-usd: 1e999999999\r\n")),
    "separator in a name": (400, raw(headers=AUTH + b"x-sluicegate-agent: a|b}c\r\n")),
    "another workspace": (403, raw(headers=AUTH + b"x-sluicegate-workspace: other\r\n")),
    "long idempotency key": (400, raw(headers=AUTH + b"idempotency-key: " + b"a" * 256 + b"\r\n")),
}  # fmt: skip


def keyed(gateway, data: bytes) -> bytes:
    return data.replace(b"KEY", b"Bearer " + gateway.key.encode()).replace(b"BARE", gateway.key.encode())


@pytest.mark.parametrize("name", FINE)
def test_odd_but_right_requests_are_answered(gateway, name):
    reply = gateway.send(keyed(gateway, FINE[name]))
    assert (reply.status, reply.json()["object"]) == (200, "chat.completion")


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_requests_are_refused_in_words_that_any_client_reads(gateway, name):
    status, data = REFUSED[name]
    reply = gateway.send(keyed(gateway, data))
    assert reply.status == status
    assert reply.headers["x-sluicegate-request-id"].startswith("req_")
    error = reply.json()["error"]
    assert error["message"]
    assert error["type"]
    assert error["code"]
    assert gateway.key not in reply.body.decode()


def test_a_smuggled_request_is_never_answered(gateway):
    hidden = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + AUTH
    for framing in (
        b"content-length: 5\r\ntransfer-encoding: chunked\r\n",
        b"transfer-encoding: chunked, identity\r\n",
    ):
        with gateway.connect() as connection:
            connection.sendall(keyed(gateway, head + framing + b"\r\n0\r\n\r\n" + hidden))
            answers = b""
            while piece := connection.recv(65_536):
                answers += piece
        assert answers.count(b"HTTP/1.1 ") == 1
        assert answers.startswith(b"HTTP/1.1 400")


def leave(connection: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        if how == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == 2:
            connection.shutdown(socket.SHUT_WR)
        connection.close()


def test_clients_that_leave_at_any_moment_leave_nothing_behind(gateway):
    baseline = gateway.connections()
    body = streamed("[[tokens 60]] [[delay 2ms]]")
    request = gateway.head(CHAT, len(body)) + body
    for cut in [*range(0, len(request), 11), len(request)]:
        for how in range(3):
            connection = gateway.connect()
            connection.sendall(request[:cut])
            leave(connection, how)

    def leave_in_stream(wanted: int) -> None:
        connection = gateway.connect()
        connection.sendall(request)
        read = 0
        while read < wanted and (piece := connection.recv(400)):
            read += len(piece)
        leave(connection, wanted % 3)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(leave_in_stream, range(1, 9_000, 300)))
    gateway.assert_whole()
    wait_for(lambda: gateway.connections() <= baseline, "connections to close")


def test_slow_and_idle_clients_keep_nobody_waiting(gateway):
    baseline, memory = gateway.connections(), gateway.rss_mb()
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(gateway.connect()) for _ in range(300)]
        for number, connection in enumerate(idle[:200]):
            connection.sendall(gateway.head(CHAT, 1_000)[: 10 + number])
        body = streamed("[[tokens 2000]]")
        for connection in idle[280:]:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.sendall(gateway.head(CHAT, len(body)) + body)
        pipelined = gateway.head(CHAT, len(BODY)) + BODY
        idle[250].sendall(pipelined * 50)
        assert gateway.post(CHAT, BODY).status == 200
        answers = b""
        while answers.count(b"HTTP/1.1 200") < 50:
            answers += idle[250].recv(65_536)
        assert gateway.rss_mb() - memory < 150
    gateway.assert_whole()
    wait_for(lambda: gateway.connections() <= baseline, "connections to close")


def test_a_body_is_not_taken_in_for_a_caller_nobody_knows(gateway):
    memory = gateway.rss_mb()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 20000000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        strangers = [stack.enter_context(gateway.connect()) for _ in range(40)]
        for stranger in strangers:
            stranger.sendall(head)
            with contextlib.suppress(OSError):
                stranger.sendall(b"x" * 1_000_000)
        assert {read_reply(stranger).status for stranger in strangers} == {401}
    assert gateway.rss_mb() - memory < 30
