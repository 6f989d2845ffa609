"""OpenTelemetry traces by the GenAI semantic conventions. Off, they cost one attribute read.

On, when `OTEL_EXPORTER_OTLP_ENDPOINT` is set: a server span per request, continuing the caller's W3C
`traceparent`, with a client span per try at a provider, to whom the context is passed on.
Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/
"""

from collections.abc import Mapping
from typing import Any

from sluicegate.kernel.errors import ConfigurationError


class Span:
    """One timed step of a request."""

    __slots__ = ("_context", "_span", "_tracing")

    def __init__(self, tracing: "Tracing", span: Any, context: Any) -> None:
        self._tracing = tracing
        self._span = span
        self._context = context

    def child(self, name: str, attributes: Mapping[str, Any]) -> "Span":
        """A span under this one, as a call to another service."""
        return self._tracing.begin(name, attributes, parent=self._context, client=True)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The W3C headers that let the called service continue this trace."""
        carrier: dict[str, str] = {}
        self._tracing.propagator.inject(carrier, context=self._context)
        return [(key.encode(), value.encode()) for key, value in carrier.items()]

    def end(self, attributes: Mapping[str, Any], error: str | None = None) -> None:
        """Finish, with what became known; `error` is an error code, never content."""
        self._span.set_attributes({key: value for key, value in attributes.items() if value is not None})
        if error is not None:
            self._span.set_attribute("error.type", error)
            self._span.set_status(self._tracing.error_status)
        self._span.end()


class Tracing:
    """Makes spans and exports them in batches from a thread of the SDK's."""

    def __init__(self, endpoint: str, service: str, version: str) -> None:
        try:
            from opentelemetry import trace  # noqa: PLC0415 - loaded only where tracing is on
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
                OTLPSpanExporter,
            )
            from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
            from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
            from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
            from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415
        except ImportError:
            raise ConfigurationError(
                "OTEL_EXPORTER_OTLP_ENDPOINT is set but OpenTelemetry is not installed; "
                "install sluicegate[tracing] or unset the variable"
            ) from None
        resource = Resource.create({"service.name": service, "service.version": version})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("sluicegate", version)
        self._trace = trace
        self.propagator = tracecontext.TraceContextTextMapPropagator()
        self.error_status = trace.Status(trace.StatusCode.ERROR)

    def receive(self, traceparent: bytes | None, name: str, attributes: Mapping[str, Any]) -> Span:
        """The server span of a request, continuing the caller's trace where it named one."""
        parent = None
        if traceparent is not None:
            parent = self.propagator.extract({"traceparent": traceparent.decode("latin-1")})
        return self.begin(name, attributes, parent=parent, client=False)

    def begin(self, name: str, attributes: Mapping[str, Any], *, parent: Any, client: bool) -> Span:
        """Start a span under `parent` (an OpenTelemetry context, or None for a new trace)."""
        kind = self._trace.SpanKind.CLIENT if client else self._trace.SpanKind.SERVER
        span = self._tracer.start_span(name, context=parent, kind=kind, attributes=dict(attributes))
        return Span(self, span, self._trace.set_span_in_context(span, parent))

    def close(self) -> None:
        """Export what is left. Blocks for up to the SDK's own time limit."""
        self._provider.shutdown()
