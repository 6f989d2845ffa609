"""The gateway: OpenAI and Anthropic over HTTP and SSE, the hot path."""

from sluicegate.wiring.gateway import gateway, serve

app = gateway()  # an ASGI application; opens nothing until it is served

if __name__ == "__main__":
    serve(app)
