"""What operators see: metrics (Prometheus), logs (JSON lines) and traces (OpenTelemetry)."""
