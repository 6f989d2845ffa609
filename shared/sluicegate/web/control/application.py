"""The API as a Starlette application."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sluicegate import __version__
from sluicegate.kernel.errors import SluicegateError
from sluicegate.web.control.audit_entries import EntryPages
from sluicegate.web.control.audit_exports import ExportPages
from sluicegate.web.control.audit_log import LogPages
from sluicegate.web.control.callers import Callers
from sluicegate.web.control.openapi import document
from sluicegate.web.control.problems import refused
from sluicegate.web.control.services import ControlServices
from sluicegate.web.control.spend import SpendPages

PREFIX = "/api/v1"


def control_application(services: ControlServices) -> Starlette:
    """The application of `/api/v1`. It opens nothing, and its lifespan has nothing to do."""
    callers = Callers(services)
    log, entries, exports = (
        LogPages(services, callers),
        EntryPages(services, callers),
        ExportPages(services, callers),
    )
    spend = SpendPages(services, callers)
    described = document(__version__)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(described)

    routes = [
        Route("/openapi.json", openapi, methods=["GET"]),
        *(_below("/audit", route) for route in (*log.routes(), *entries.routes(), *exports.routes())),
        *spend.routes(),
    ]
    application = Starlette(
        routes=[_below(PREFIX, route) for route in routes],
        exception_handlers={SluicegateError: refused, HTTPException: refused, Exception: refused},
    )
    # A path that is not there is not there: no second guess, no redirect to where the caller's Host says.
    application.router.redirect_slashes = False
    return application


def _below(prefix: str, route: Route) -> Route:
    return Route(f"{prefix}{route.path}", route.endpoint, methods=list(route.methods or ()))
