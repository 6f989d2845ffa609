"""Transactions: serialisable, with contention as the service has it, of either kind it knows.

Pessimistic: what a transaction read is locked until it ends; whoever commits over it waits, and is ABORTED
after a while, at once where both wait for each other (the younger). Optimistic: nobody waits; a commit
is ABORTED if anything the transaction read, query results included, is not as it was.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field
from itertools import count

from firestore_server.errors import aborted, invalid
from firestore_server.store import nanoseconds

IDLE_S = 60


@dataclass(eq=False)
class Transaction:
    id: bytes
    age: int
    read_only: bool
    snapshot: int | None
    used: float = field(default_factory=time.monotonic)
    documents: dict = field(default_factory=dict)
    queries: list = field(default_factory=list)
    waits_for: set = field(default_factory=set)
    doomed: bool = False


def version(document):
    return None if document is None else nanoseconds(document.update_time)


class Transactions:
    def __init__(self, store, *, pessimistic=True, patience_s=0.5):
        self._store = store
        self._pessimistic = pessimistic
        self._patience_s = patience_s
        self._open = {}
        self._ages = {}
        self._numbers = count()
        self._changed = asyncio.Condition()
        self.aborts = 0

    def begin(self, options):
        expired = time.monotonic() - IDLE_S
        self._open = {id_: each for id_, each in self._open.items() if each.used > expired}
        mode = options.WhichOneof("mode")
        snapshot = None
        if mode == "read_only":
            selected = options.read_only.HasField("read_time")
            snapshot = nanoseconds(options.read_only.read_time) if selected else self._store.now()
        # A retried transaction keeps its place in the line.
        age = self._ages.get(options.read_write.retry_transaction, next(self._numbers))
        transaction = Transaction(os.urandom(12), age, mode == "read_only", snapshot)
        self._ages[transaction.id] = age
        self._open[transaction.id] = transaction
        return transaction

    def get(self, id_):
        transaction = self._open.get(id_)
        if transaction is None:
            raise invalid("The referenced transaction has expired or is no longer valid.")
        transaction.used = time.monotonic()
        return transaction

    def saw(self, transaction, documents):
        """Note what a transaction read: (name, document or None)."""
        if not transaction.read_only:
            for name, document in documents:
                transaction.documents.setdefault(name, version(document))

    def asked(self, transaction, query, answer):
        """Note a query (a callable that answers it again) of a transaction."""
        if not transaction.read_only:
            transaction.queries.append((query, answer))

    async def rollback(self, id_):
        await self._end(self.get(id_))

    async def commit(self, writes, id_=b""):
        """Apply `writes`, within the transaction where one is given."""
        transaction = self.get(id_) if id_ else None
        if transaction is not None and transaction.read_only:
            await self._end(transaction)
            if writes:
                raise invalid("Cannot modify entities in a read-only transaction.")
            return self._store.commit([])
        try:
            if self._pessimistic:
                await self._wait({_name(write) for write in writes}, transaction)
            if transaction is not None:
                self._check(transaction)
            return self._store.commit(writes)
        finally:
            if transaction is not None:
                await self._end(transaction)

    def _check(self, transaction):
        current = {name: version(self._store.read(name)) for name in transaction.documents}
        if current != transaction.documents or any(query() != then for query, then in transaction.queries):
            self.aborts += 1
            raise aborted(
                "Transaction lock timeout." if self._pessimistic else "Transaction was too contended."
            )

    async def _wait(self, names, mine):
        """Until nobody else has read what is to be written."""
        try:
            async with asyncio.timeout(self._patience_s), self._changed:
                while True:
                    holders = {
                        each
                        for each in self._open.values()
                        if each is not mine and not each.read_only and names & each.documents.keys()
                    }
                    if not holders:
                        return
                    if mine is not None:
                        self._break_circle(mine, holders)
                    await self._changed.wait()
        except TimeoutError:
            self.aborts += 1
            raise aborted("Too much contention on these documents. Please try again.") from None

    def _break_circle(self, mine, holders):
        """Of two that wait for each other the younger gives up."""
        mine.waits_for = holders
        for each in holders:
            if mine in each.waits_for:
                younger = max(mine, each, key=lambda one: one.age)
                younger.doomed = True
                self._changed.notify_all()
        if mine.doomed:
            raise TimeoutError

    async def _end(self, transaction):
        self._open.pop(transaction.id, None)
        async with self._changed:
            self._changed.notify_all()


def _name(write):
    kind = write.WhichOneof("operation")
    if kind == "update":
        return write.update.name
    return write.delete if kind == "delete" else write.transform.document
