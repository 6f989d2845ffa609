"""The server as a process: `python -m firestore_server --port N [--journal FILE]`; says when it serves."""

import argparse
import asyncio
import importlib
import os
from pathlib import Path

import grpc

from firestore_server.indexes import Indexes
from firestore_server.journal import encode, records
from firestore_server.service import Service, handlers
from firestore_server.store import Store
from firestore_server.transactions import Transactions

_MOST_BYTES = 10 * 1024 * 1024


def indexes_of(module):
    """The indexes that a module declares, as `sluicegate.ledger.indexes` does."""
    declared = importlib.import_module(module)
    return Indexes(
        [
            (each.collection, each.group, tuple((field.name, field.order) for field in each.fields))
            for each in declared.COMPOSITE_INDEXES
        ],
        [(each.collection, field) for each in declared.UNINDEXED for field in each.fields],
        [(each.collection, field) for each in declared.GROUP_INDEXED for field in each.fields],
    )


async def serve(arguments):
    file = None

    def journal(at, changes):
        if file is not None and changes:
            file.write(encode(at, changes))
            file.flush()

    store = Store(journal)
    if arguments.journal is not None:
        for at, changes in records(arguments.journal):
            store.restore(at, changes)
        file = arguments.journal.open("ab")
    indexes = None if arguments.indexes is None else indexes_of(arguments.indexes)
    transactions = Transactions(
        store, pessimistic=arguments.concurrency == "pessimistic", patience_s=arguments.patience
    )
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", _MOST_BYTES), ("grpc.so_reuseport", 0)]
    )
    server.add_generic_rpc_handlers((handlers(Service(store, transactions, indexes)),))
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    await server.start()
    print(f"serving on {port}", flush=True)  # noqa: T201 - its starter waits for it
    # Whoever started it may be killed and stop nothing.
    parent = os.getppid()
    while os.getppid() == parent:
        await server.wait_for_termination(1.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--indexes", help="a module that declares them; without, every query is answered")
    parser.add_argument("--concurrency", choices=("pessimistic", "optimistic"), default="pessimistic")
    parser.add_argument("--patience", type=float, default=0.5, help="seconds that a commit waits for locks")
    asyncio.run(serve(parser.parse_args()))
