"""Traces leave as OTLP over HTTP, continue the caller's trace and are passed on to the provider."""

import http.server
import threading

import pytest

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.telemetry.tracing import Tracing

trace_pb = pytest.importorskip(
    "opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="sluicegate[tracing] is not installed"
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()


@pytest.fixture
def collector():
    received = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, trace_pb.ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()
        thread.join()


def test_a_request_and_its_try_are_one_trace_with_the_callers(collector):
    endpoint, received = collector
    tracing = Tracing(endpoint, "gateway", "1.0")
    span = tracing.receive(PARENT, "chat small", {"gen_ai.request.model": "small"})
    child = span.child("chat small", {"gen_ai.system": "openai"})
    passed_on = dict(child.headers())[b"traceparent"].decode()
    child.end({"gen_ai.response.model": "small"})
    span.end({"gen_ai.usage.output_tokens": 5, "gen_ai.usage.input_tokens": None}, error="upstream_error")
    tracing.close()

    spans = [
        span
        for path, request in received
        if path == "/v1/traces"
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    inner, outer = sorted(spans, key=lambda span: span.start_time_unix_nano, reverse=True)
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert outer.parent_span_id.hex() == "b7ad6b7169203331"
    assert inner.parent_span_id == outer.span_id
    assert passed_on.split("-")[1:3] == [TRACE, inner.span_id.hex()]
    attributes = {pair.key: pair.value for pair in outer.attributes}
    assert attributes["gen_ai.usage.output_tokens"].int_value == 5
    assert attributes["error.type"].string_value == "upstream_error"
    assert "gen_ai.usage.input_tokens" not in attributes


def test_without_a_callers_trace_a_new_one_begins(collector):
    endpoint, _ = collector
    tracing = Tracing(endpoint, "gateway", "1.0")
    for bad in (None, b"nonsense", b"\xff"):
        span = tracing.receive(bad, "chat", {})
        assert len(dict(span.headers())[b"traceparent"].split(b"-")[1]) == 32
        span.end({})
    tracing.close()


def test_tracing_without_the_package_is_a_configuration_error(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match="sluicegate"):
        Tracing("http://127.0.0.1:1", "gateway", "1.0")
