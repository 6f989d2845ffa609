"""The service's methods over a store."""

import secrets

import grpc
from google.rpc.status_pb2 import Status

from firestore_server import messages
from firestore_server.aggregations import aggregate, aggregated_paths
from firestore_server.errors import StatusError, exists, invalid, missing
from firestore_server.messages import Document
from firestore_server.names import check_document, database_of, root_of, segments_of
from firestore_server.queries import Query
from firestore_server.store import nanoseconds, timestamp
from firestore_server.transactions import version
from firestore_server.values import parse_path, project

MOST_LISTED = 300


class Service:
    """Every method takes a request and gives a response, or an iterator of responses where it streams."""

    STREAMS = frozenset({"BatchGetDocuments", "RunQuery", "RunAggregationQuery"})

    def __init__(self, store, transactions, indexes=None, calls=None):
        self._store = store
        self._transactions = transactions
        self._indexes = indexes
        self.calls = calls if calls is not None else {}

    # --- one document

    async def GetDocument(self, request):  # noqa: N802 - the protocol's name
        reading = self._reading(request)
        check_document(request.name)
        document = self._store.read(request.name, reading.at)
        reading.saw([(request.name, document)])
        if document is None:
            raise missing(f'Document "{request.name}" not found.')
        return masked(document, request)

    async def CreateDocument(self, request):  # noqa: N802 - the protocol's name
        name = f"{request.parent}/{request.collection_id}/{request.document_id or _new_id()}"
        if self._store.read(name) is not None:
            raise exists(f"Document already exists: {name}")
        write = messages.Write(update=Document(name=name, fields=request.document.fields))
        write.current_document.exists = False
        await self._transactions.commit([write])
        return masked(self._store.read(name), request)

    async def UpdateDocument(self, request):  # noqa: N802 - the protocol's name
        write = messages.Write(update=request.document)
        for field in ("update_mask", "current_document"):
            if request.HasField(field):
                getattr(write, field).CopyFrom(getattr(request, field))
        await self._transactions.commit([write])
        return masked(self._store.read(request.document.name), request)

    async def DeleteDocument(self, request):  # noqa: N802 - the protocol's name
        write = messages.Write(delete=request.name)
        if request.HasField("current_document"):
            write.current_document.CopyFrom(request.current_document)
        await self._transactions.commit([write])
        return messages.Empty()

    async def BatchGetDocuments(self, request):  # noqa: N802 - the protocol's name
        reading = self._reading(request)
        names = list(dict.fromkeys(request.documents))
        for name in names:
            check_document(name)
            if database_of(name) != request.database:
                raise invalid(f"{name} is of another database")
        documents = [(name, self._store.read(name, reading.at)) for name in names]
        reading.saw(documents)
        if reading.begun or not names:
            yield messages.BatchGetDocumentsResponse(transaction=reading.begun, read_time=reading.time)
        for name, document in documents:
            response = messages.BatchGetDocumentsResponse(read_time=reading.time)
            if document is None:
                response.missing = name
            else:
                response.found.CopyFrom(masked(document, request))
            yield response

    # --- writing

    async def BeginTransaction(self, request):  # noqa: N802 - the protocol's name
        return messages.BeginTransactionResponse(transaction=self._transactions.begin(request.options).id)

    async def Commit(self, request):  # noqa: N802 - the protocol's name
        results, at = await self._transactions.commit(list(request.writes), request.transaction)
        return messages.CommitResponse(write_results=results, commit_time=at)

    async def Rollback(self, request):  # noqa: N802 - the protocol's name
        await self._transactions.rollback(request.transaction)
        return messages.Empty()

    async def BatchWrite(self, request):  # noqa: N802 - the protocol's name
        response = messages.BatchWriteResponse()
        for write in request.writes:
            try:
                results, _ = await self._transactions.commit([write])
                response.write_results.append(results[0])
                response.status.append(Status())
            except StatusError as error:
                response.write_results.append(messages.WriteResult())
                response.status.append(Status(code=error.code.value[0], message=error.message))
        return response

    # --- queries

    async def RunQuery(self, request):  # noqa: N802 - the protocol's name
        _check_parent(request.parent)
        reading = self._reading(request)
        query = Query(self._store, request.parent, request.structured_query, self._indexes)
        found = query.run(reading.at)
        reading.asked(lambda: _versions(query.run()), _versions(found))
        reading.saw([(each.name, each) for each in found])
        if reading.begun:
            yield messages.RunQueryResponse(transaction=reading.begun)
        for document in found:
            yield messages.RunQueryResponse(document=query.projected(document), read_time=reading.time)
        if not found:
            yield messages.RunQueryResponse(read_time=reading.time)

    async def RunAggregationQuery(self, request):  # noqa: N802 - the protocol's name
        _check_parent(request.parent)
        reading = self._reading(request)
        asked = request.structured_aggregation_query
        paths = aggregated_paths(asked.aggregations)
        query = Query(self._store, request.parent, asked.structured_query, self._indexes, paths)
        found = query.run(reading.at)
        reading.asked(lambda: _versions(query.run()), _versions(found))
        response = messages.RunAggregationQueryResponse(read_time=reading.time, transaction=reading.begun)
        for alias, value in aggregate(found, asked.aggregations).items():
            response.result.aggregate_fields[alias].CopyFrom(value)
        yield response

    async def ListDocuments(self, request):  # noqa: N802 - the protocol's name
        _check_parent(request.parent)
        reading = self._reading(request)
        names = sorted(self._store.children(request.parent, request.collection_id))
        documents = {name: self._store.read(name, reading.at) for name in names}
        listed = [name for name in names if documents[name] is not None]
        if request.show_missing:
            below = f"{request.parent}/{request.collection_id}/"
            inner = {
                below + path[len(below) :].partition("/")[0]
                for path, held in list(self._store.collections.items())
                if path.startswith(below) and any(self._store.read(name, reading.at) for name in held)
            }
            listed = sorted({*listed, *inner})
        first, size = _page(request)
        response = messages.ListDocumentsResponse()
        for name in listed[first : first + size]:
            document = documents.get(name)
            response.documents.append(Document(name=name) if document is None else masked(document, request))
        if first + size < len(listed):
            response.next_page_token = str(first + size)
        return response

    async def ListCollectionIds(self, request):  # noqa: N802 - the protocol's name
        prefix = f"{request.parent}/"
        found = sorted(
            {
                path[len(prefix) :].partition("/")[0]
                for path, names in list(self._store.collections.items())
                if path.startswith(prefix) and any(self._store.read(name) for name in names)
            }
        )
        first, size = _page(request)
        more = str(first + size) if first + size < len(found) else ""
        return messages.ListCollectionIdsResponse(
            collection_ids=found[first : first + size], next_page_token=more
        )

    def _reading(self, request):
        return _Reading(self._store, self._transactions, request)


class _Reading:
    """The moment that a request reads at, and the transaction that it reads in."""

    def __init__(self, store, transactions, request):
        self._transactions = transactions
        self.begun = b""
        self._transaction = None
        selected = request.WhichOneof("consistency_selector")
        if selected == "new_transaction":
            self._transaction = transactions.begin(request.new_transaction)
            self.begun = self._transaction.id
        elif selected == "transaction":
            self._transaction = transactions.get(request.transaction)
        self.at = self._transaction.snapshot if self._transaction is not None else None
        if selected == "read_time":
            self.at = nanoseconds(request.read_time)
        self.time = timestamp(store.now() if self.at is None else self.at)

    def saw(self, documents):
        if self._transaction is not None:
            self._transactions.saw(self._transaction, documents)

    def asked(self, query, answer):
        if self._transaction is not None:
            self._transactions.asked(self._transaction, query, answer)


def masked(document, request):
    """The document with the fields that the request's mask names."""
    if not request.HasField("mask"):
        return document
    result = Document(name=document.name, create_time=document.create_time, update_time=document.update_time)
    project(document.fields, [parse_path(each) for each in request.mask.field_paths], result.fields)
    return result


def _versions(documents):
    return [(each.name, version(each)) for each in documents]


def _check_parent(parent):
    root_of(parent)
    if len(segments_of(parent)) % 2:
        raise invalid(f'"{parent}" is no parent')


def _page(request):
    size = request.page_size or MOST_LISTED
    if size < 0 or (request.page_token and not request.page_token.isdigit()):
        raise invalid("page size or token")
    return int(request.page_token or 0), min(size, MOST_LISTED)


def _new_id():
    return secrets.token_hex(10)


def handlers(service):
    """A gRPC handler for every method of the service."""

    def unary(name):
        async def call(request, context):
            service.calls[name] = service.calls.get(name, 0) + 1
            try:
                return await getattr(service, name)(request)
            except StatusError as error:
                await context.abort(error.code, error.message)

        return grpc.unary_unary_rpc_method_handler(
            call, messages.request_type(name).FromString, lambda response: response.SerializeToString()
        )

    def stream(name):
        async def call(request, context):
            service.calls[name] = service.calls.get(name, 0) + 1
            try:
                async for response in getattr(service, name)(request):
                    yield response
            except StatusError as error:
                await context.abort(error.code, error.message)

        return grpc.unary_stream_rpc_method_handler(
            call, messages.request_type(name).FromString, lambda response: response.SerializeToString()
        )

    names = [name for name in vars(Service) if name[0].isupper() and name != "STREAMS"]
    return grpc.method_handlers_generic_handler(
        "google.firestore.v1.Firestore",
        {name: stream(name) if name in Service.STREAMS else unary(name) for name in names},
    )
