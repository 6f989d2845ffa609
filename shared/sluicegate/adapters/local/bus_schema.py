"""The tables of the local event bus, in a file of their own (`bus.db`). See schema.py on migrations.

Events lie in `batches` as they were published, many in a row. What a group has not yet done with a batch is
one row of `pending`; only where the events of a batch fare differently does it split: `picks` (JSON, null for
all) says which of them a row stands for. A batch goes when no row stands for any of it.
"""

_FIRST = """
CREATE TABLE groups (
    name TEXT PRIMARY KEY,
    expires REAL
) STRICT;

CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant TEXT NOT NULL,
    at REAL NOT NULL,
    count INTEGER NOT NULL,
    bodies BLOB NOT NULL,
    origins TEXT
) STRICT;

CREATE TABLE pending (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp TEXT NOT NULL,
    batch INTEGER NOT NULL,
    picks TEXT,
    count INTEGER NOT NULL,
    due REAL NOT NULL,
    owner TEXT,
    failures INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    reason TEXT
) STRICT;
CREATE INDEX pending_by_due ON pending (grp, due, id);
CREATE INDEX pending_by_batch ON pending (batch);
CREATE INDEX pending_by_owner ON pending (owner) WHERE owner IS NOT NULL;

CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    grp TEXT NOT NULL,
    tenant TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_at REAL NOT NULL,
    last_at REAL NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant, id);
"""

BUS_MIGRATIONS: tuple[str, ...] = (_FIRST,)
