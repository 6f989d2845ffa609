"""The gateway's HTTP/1.1 server: an asyncio protocol on llhttp that drives handlers through an Exchange."""

from sluicegate.web.server.limits import ServerLimits
from sluicegate.web.server.mount import StreamedExchange, asgi_handler
from sluicegate.web.server.problems import Handler
from sluicegate.web.server.server import Server, serve

__all__ = ["Handler", "Server", "ServerLimits", "StreamedExchange", "asgi_handler", "serve"]
