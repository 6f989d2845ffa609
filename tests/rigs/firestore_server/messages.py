"""The protocol's messages as plain protobuf classes, from the definitions that the client library ships."""

from google.cloud.firestore_v1 import types
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = [
    "ArrayValue", "BatchGetDocumentsResponse", "BatchWriteResponse", "BeginTransactionResponse",
    "CommitResponse", "Document", "Empty", "ListCollectionIdsResponse", "ListDocumentsResponse", "MapValue",
    "RunAggregationQueryResponse", "RunQueryResponse", "StructuredQuery", "Timestamp", "Value", "Write",
    "WriteResult", "request_type",
]  # fmt: skip

ArrayValue = types.ArrayValue.pb()
BatchGetDocumentsResponse = types.BatchGetDocumentsResponse.pb()
BatchWriteResponse = types.BatchWriteResponse.pb()
BeginTransactionResponse = types.BeginTransactionResponse.pb()
CommitResponse = types.CommitResponse.pb()
Document = types.Document.pb()
ListCollectionIdsResponse = types.ListCollectionIdsResponse.pb()
ListDocumentsResponse = types.ListDocumentsResponse.pb()
MapValue = types.MapValue.pb()
RunAggregationQueryResponse = types.RunAggregationQueryResponse.pb()
RunQueryResponse = types.RunQueryResponse.pb()
StructuredQuery = types.StructuredQuery.pb()
Value = types.Value.pb()
Write = types.Write.pb()
WriteResult = types.WriteResult.pb()


def request_type(name):
    """The request message of a method."""
    return getattr(types, f"{name}Request").pb()
