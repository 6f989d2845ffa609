"""The local database's tables, as migrations that are applied in order, once each.

A released migration is never edited: a change is a new entry at the end. The number applied is kept in
SQLite's `user_version`. Money is integer nano-dollars, times are epoch seconds, lists are JSON text.
"""

_FIRST = """
CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    workspace TEXT NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    permissions TEXT,
    models TEXT NOT NULL,
    plan TEXT NOT NULL,
    timezone TEXT NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL,
    revoked_at REAL,
    revoked_reason TEXT,
    revision INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at);

CREATE TABLE api_key_secrets (
    prefix TEXT PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    created_at REAL NOT NULL,
    expires_at REAL
) STRICT;
CREATE INDEX api_key_secrets_by_key ON api_key_secrets (key_id);

CREATE TABLE budget_overrides (
    tenant TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    period TEXT NOT NULL,
    limit_nano INTEGER NOT NULL,
    PRIMARY KEY (tenant, scope, name, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE usage_rows (
    tenant TEXT NOT NULL,
    request_id TEXT NOT NULL,
    at REAL NOT NULL,
    workspace TEXT NOT NULL,
    user TEXT NOT NULL,
    key TEXT NOT NULL,
    agent TEXT,
    mission TEXT,
    task TEXT,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requested_model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_input_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    reasoning_tokens INTEGER NOT NULL,
    cost_nano INTEGER NOT NULL,
    held_nano INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    latency_ms REAL NOT NULL,
    first_byte_ms REAL,
    cache TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT,
    tools TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    reaped INTEGER NOT NULL,
    PRIMARY KEY (tenant, request_id)
) STRICT;
CREATE INDEX usage_rows_by_time ON usage_rows (tenant, at);

CREATE TABLE events (
    source TEXT NOT NULL,
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    type TEXT NOT NULL,
    at REAL NOT NULL,
    subject TEXT,
    data TEXT NOT NULL,
    PRIMARY KEY (source, id)
) STRICT;
CREATE INDEX events_by_time ON events (tenant, at);

CREATE TABLE dead_events (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    at REAL NOT NULL,
    reason TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;
"""

# What answered, as its provider names it.
_VERSION = "ALTER TABLE usage_rows ADD COLUMN version TEXT;"

MIGRATIONS: tuple[str, ...] = (_FIRST, _VERSION)
