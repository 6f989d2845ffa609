"""Entries of the caller's own tenant, and the proofs that they are in the log."""

from base64 import b64encode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sluicegate.audit.ports import EntryFilter
from sluicegate.audit.queries import MAX_PAGE
from sluicegate.identity.policy import Permission
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.web.control.callers import READ, Callers
from sluicegate.web.control.encoding import base64_list, entry_json
from sluicegate.web.control.parameters import FILTERS, entry_filter, parameters, whole
from sluicegate.web.control.services import ControlServices

PAGE = 100

_PRIVATE = {"cache-control": "private, no-store"}


class EntryPages:
    """Pages that a tenant's auditor reads."""

    def __init__(self, services: ControlServices, callers: Callers) -> None:
        self._queries = services.queries
        self._callers = callers

    def routes(self) -> list[Route]:
        """Below `/api/v1/audit`."""
        return [
            Route("/entries", self.entries, methods=["GET"]),
            Route("/entries/{id:str}", self.entry, methods=["GET"]),
            Route("/proofs/inclusion", self.inclusion, methods=["GET"]),
        ]

    async def entries(self, request: Request) -> Response:
        """A page of entries."""
        principal = await self._callers.permitted(request, Permission.VIEW_LOGS, READ)
        values = parameters(request, (*FILTERS, "cursor", "limit", "order"))
        wanted = entry_filter(values)
        order = values.get("order", "newest")
        if order not in {"newest", "oldest"}:
            raise InvalidRequestError("order is newest or oldest", param="order")
        page = await self._queries.entries(
            principal.tenant,
            wanted,
            cursor=values.get("cursor"),
            limit=whole(values, "limit", PAGE, most=MAX_PAGE) or 0,
            newest_first=order == "newest",
            reveal=True,
        )
        told = {"kind": "entries", "count": len(page.records), "filter": filter_told(wanted)}
        await self._callers.tell(request, principal, READ, told)
        return JSONResponse(
            {"entries": [entry_json(record) for record in page.records], "next": page.cursor},
            headers=_PRIVATE,
        )

    async def entry(self, request: Request) -> Response:
        """One entry."""
        principal = await self._callers.permitted(request, Permission.VIEW_LOGS, READ)
        parameters(request, ())
        record = await self._queries.entry(principal.tenant, request.path_params["id"], reveal=True)
        await self._callers.tell(request, principal, READ, {"kind": "entry", "entry": record.entry.id})
        return JSONResponse(entry_json(record), headers=_PRIVATE)

    async def inclusion(self, request: Request) -> Response:
        """The proof that an entry is in the log, with all that verifying it takes."""
        principal = await self._callers.permitted(request, Permission.VIEW_LOGS, READ)
        values = parameters(request, ("entry", "index", "size"))
        index = whole(values, "index")
        key = values.get("entry") if index is None else index
        if key is None or (index is not None and "entry" in values):
            raise InvalidRequestError("give one of entry (its id) and index", param="entry")
        checkpoint, note = await self._queries.checkpoint()
        size = whole(values, "size")
        record = await self._queries.entry(principal.tenant, key)
        proof = await self._queries.inclusion(
            principal.tenant, key, checkpoint.size if size is None else size
        )
        await self._callers.tell(request, principal, READ, {"kind": "proof", "entry": record.entry.id})
        return JSONResponse(
            {
                "index": proof.index,
                "size": proof.size,
                "leaf": record.leaf.decode(),
                "leafHash": b64encode(proof.leaf_hash).decode(),
                "proof": base64_list(proof.proof),
                "checkpoint": note.decode() if proof.size == checkpoint.size else None,
            },
            headers=_PRIVATE,
        )


def filter_told(wanted: EntryFilter) -> dict[str, object]:
    """What the log keeps of a filter: whom it names stays out, for it would outlive that person's erasure."""
    told = {
        name: getattr(wanted, name)
        for name in ("since_ms", "until_ms", "workspace", "action", "domain", "result")
    }
    return {name: value for name, value in told.items() if value is not None} | (
        {} if wanted.user is None else {"one_user": True}
    )
