"""The log itself, as C2SP tlog-tiles has it: checkpoint, tiles, keys. Hashes are public, entries are not."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sluicegate.audit.errors import MalformedError
from sluicegate.audit.tiles import Bundle, parse_path
from sluicegate.audit.verify.trusted_keys import NAME as KEYS
from sluicegate.kernel.errors import NotFoundError, PayloadTooLargeError
from sluicegate.web.control.callers import READ, Callers
from sluicegate.web.control.encoding import base64_list
from sluicegate.web.control.parameters import parameters, whole
from sluicegate.web.control.services import ControlServices

MAX_NOTE_BYTES = 64 * 1024

_FOR_EVER = "public, max-age=31536000, immutable"
_NEVER = "no-cache"


class LogPages:
    """Pages that verifiers read."""

    def __init__(self, services: ControlServices, callers: Callers) -> None:
        self._services = services
        self._callers = callers

    def routes(self) -> list[Route]:
        """Below `/api/v1/audit`."""
        return [
            Route("/checkpoint", self.checkpoint, methods=["GET"]),
            Route("/checkpoint", self.cosign, methods=["POST"]),
            Route("/checkpoints/{size:str}", self.checkpoint_of_size, methods=["GET"]),
            Route("/key", self.key, methods=["GET"]),
            Route("/keys", self.keys, methods=["GET"]),
            Route("/tile/{path:path}", self.tile, methods=["GET"]),
            Route("/proofs/consistency", self.consistency, methods=["GET"]),
        ]

    async def checkpoint(self, request: Request) -> Response:
        """The newest checkpoint."""
        parameters(request, ())
        _, note = await self._services.queries.checkpoint()
        return _text(note, _NEVER)

    async def cosign(self, request: Request) -> Response:
        """Keep a witness's cosignatures of a published checkpoint."""
        parameters(request, ())
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_NOTE_BYTES:
                raise PayloadTooLargeError(
                    f"a checkpoint with cosignatures has at most {MAX_NOTE_BYTES} bytes"
                )
        added = await self._services.publisher.cosign(body)
        return JSONResponse({"added": added})

    async def checkpoint_of_size(self, request: Request) -> Response:
        """One that was published earlier."""
        parameters(request, ())
        size = whole({"size": request.path_params["size"]}, "size")
        return _text(await self._services.publisher.at(size or 0), _NEVER)

    async def key(self, request: Request) -> Response:
        """The log's public key, as a signed-note verifier key."""
        parameters(request, ())
        return _text(f"{self._services.publisher.verifier.key}\n".encode(), _NEVER)

    async def keys(self, request: Request) -> Response:
        """The keys that the log's key vouches for."""
        parameters(request, ())
        return _text(await self._blob(KEYS), _NEVER)

    async def tile(self, request: Request) -> Response:
        """A tile of hashes; or a bundle of entries, for who may see those of all tenants."""
        parameters(request, ())
        try:
            place = parse_path(f"tile/{request.path_params['path']}")
        except MalformedError:
            raise NotFoundError("there is no such tile") from None
        if not isinstance(place, Bundle):
            return Response(
                await self._blob(place.path),
                media_type="application/octet-stream",
                headers={"cache-control": _FOR_EVER},
            )
        principal = await self._callers.operator(request)
        content = await self._blob(place.path)
        await self._callers.tell(request, principal, READ, {"kind": "bundle", "path": place.path})
        return Response(
            content, media_type="application/octet-stream", headers={"cache-control": "private, no-store"}
        )

    async def consistency(self, request: Request) -> Response:
        """The proof that one published log is the start of another."""
        values = parameters(request, ("from", "to"))
        first, second = whole(values, "from", 0), whole(values, "to")
        checkpoint, _ = await self._services.queries.checkpoint()
        proof = await self._services.queries.consistency(first or 0, second)
        return JSONResponse({
            "from": first,
            "to": checkpoint.size if second is None else second,
            "proof": base64_list(proof),
        })  # fmt: skip

    async def _blob(self, name: str) -> bytes:
        blob = await self._services.blobs.read(name)
        if blob is None:
            raise NotFoundError("there is no such file")
        return blob.content


def _text(content: bytes, cache: str) -> Response:
    return PlainTextResponse(content, headers={"cache-control": cache})
