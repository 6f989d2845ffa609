"""Exports over HTTP, streamed: nothing is kept but what the caller has not taken yet."""

from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sluicegate.audit.export.archive import zipped
from sluicegate.audit.export.formats import export_format
from sluicegate.audit.export.service import Export
from sluicegate.identity.policy import Permission
from sluicegate.kernel.errors import InvalidRequestError, OverloadedError, PayloadTooLargeError
from sluicegate.web.control.audit_entries import filter_told
from sluicegate.web.control.callers import Callers
from sluicegate.web.control.parameters import MAX_VALUE, entry_filter, parameters
from sluicegate.web.control.services import ControlServices

EXPORTED = "audit.exported"
AT_ONCE = 2
MAX_BODY_BYTES = 16 * 1024

Text = Annotated[str, Field(min_length=1, max_length=MAX_VALUE)]


class ExportRequest(BaseModel):
    """What a caller asks for. `archive` is the export with its proofs, `rows` the rows alone, for reading."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)

    format: Literal["jsonl", "csv", "parquet"] = "jsonl"
    contents: Literal["archive", "rows"] = "archive"
    from_: Text | None = Field(None, alias="from")
    to: Text | None = None
    user: Text | None = None
    workspace: Text | None = None
    action: Text | None = None
    domain: Text | None = None
    result: Text | None = None


class ExportPages:
    """Takes requests for exports."""

    def __init__(self, services: ControlServices, callers: Callers) -> None:
        self._exports = services.exports
        self._callers = callers
        self._running = 0

    def routes(self) -> list[Route]:
        """Below `/api/v1/audit`."""
        return [Route("/exports", self.export, methods=["POST"])]

    async def export(self, request: Request) -> Response:
        """An export, as it is made."""
        principal = await self._callers.permitted(request, Permission.VIEW_LOGS, EXPORTED)
        parameters(request, ())
        asked = _asked(await _body(request))
        values = asked.model_dump(by_alias=True, exclude={"format", "contents"}, exclude_none=True)
        wanted = entry_filter(values)
        rows_format = export_format(asked.format)
        if self._running >= AT_ONCE:
            raise OverloadedError(
                f"{AT_ONCE} exports are being made here: wait for one to end", retry_after=10
            )
        self._running += 1
        try:
            export = await self._exports.begin(principal.tenant, wanted, rows_format, principal.key_id)
            told = {"rows": export.count, "format": asked.format, "filter": filter_told(wanted)}
            await self._callers.tell(request, principal, EXPORTED, {**told, "contents": asked.contents})
        except BaseException:
            self._running -= 1
            raise
        if asked.contents == "rows":
            return self._answer(_rows(export), rows_format.media_type, rows_format.file)
        return self._answer(zipped(export.files()), "application/zip", "export.zip")

    def _answer(self, content: AsyncGenerator[bytes, None], media_type: str, name: str) -> Response:
        headers = {
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "private, no-store",
        }
        return _Streamed(content, self._ended, media_type, headers)

    def _ended(self) -> None:
        self._running -= 1


class _Streamed(StreamingResponse):
    """A stream that is closed, and `ended` told of it, however the answer ends."""

    def __init__(
        self,
        content: AsyncGenerator[bytes, None],
        ended: Callable[[], None],
        media_type: str,
        headers: dict[str, str],
    ) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._content = content
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()
            await self._content.aclose()


async def _rows(export: Export) -> AsyncGenerator[bytes, None]:
    async for piece in export.rows():
        yield piece.content


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise PayloadTooLargeError(f"the body has at most {MAX_BODY_BYTES} bytes")
    return body


def _asked(body: bytes) -> ExportRequest:
    try:
        return ExportRequest.model_validate_json(body or b"{}")
    except ValidationError as error:
        [first, *_] = error.errors(include_url=False, include_input=False)
        param = ".".join(map(str, first["loc"]))[:80] or None
        raise InvalidRequestError(f"{param or 'the body'}: {first['msg']}", param=param) from None
