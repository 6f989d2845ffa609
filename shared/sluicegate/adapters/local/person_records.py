"""What the local database knows of people in their own right: who owns a key, whose budget was changed."""

import json
import re
import sqlite3

from sluicegate.adapters.local.sqlite import Database
from sluicegate.kernel.clock import Clock

_ERASED = "erased"
_KEYS = (
    "UPDATE api_keys SET user = :pseudonym, name = :erased, revision = revision + 1, "
    "revoked_at = COALESCE(revoked_at, :now), revoked_reason = :erased "
    "WHERE tenant = :tenant AND user = :person"
)
_BUDGETS = "DELETE FROM budget_overrides WHERE tenant = :tenant AND scope = 'user' AND name = :person"
_ALL_KEYS = (
    "UPDATE api_keys SET user = :erased, name = :erased, revision = revision + 1, "
    "revoked_at = COALESCE(revoked_at, :now), revoked_reason = :erased "
    "WHERE tenant = :tenant AND user != :erased"
)
_ALL_BUDGETS = "DELETE FROM budget_overrides WHERE tenant = :tenant"


class SqlitePersonRecords:
    """`audit.ports.PersonalData` for API keys and budgets of users in the local database.

    The keys of whoever is erased are revoked: they would go on making records of the same name.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:
        """Put the pseudonym in the place of the owner's name, and delete budgets; the number of records.

        When this returns, the file has no trace of the name in keys and budgets.
        """
        values = {
            "tenant": tenant,
            "person": person,
            "pseudonym": pseudonym,
            "erased": _ERASED,
            "now": self._clock.now(),
        }
        names = _pattern(person)

        def change(connection: sqlite3.Connection) -> int:
            count = connection.execute(_KEYS, values).rowcount + connection.execute(_BUDGETS, values).rowcount
            # Whoever named another key, or said why it is revoked, may have named its user.
            for column in ("name", "revoked_reason"):
                count += _replace(connection, column, tenant, names, pseudonym)
            return count

        count = await self._database.write(change)
        await self._database.scrub()
        return count

    async def forget_tenant(self, tenant: str) -> int:
        """Revoke the tenant's keys, forget who owned them and its budgets; the number of records."""
        values = {"tenant": tenant, "erased": _ERASED, "now": self._clock.now()}

        def change(connection: sqlite3.Connection) -> int:
            return sum(connection.execute(sql, values).rowcount for sql in (_ALL_KEYS, _ALL_BUDGETS))

        count = await self._database.write(change)
        await self._database.scrub()
        return count


def _pattern(person: str) -> re.Pattern[str]:
    """The name, alone or between other words, plain or as JSON writes it."""
    spellings = {person, json.dumps(person)[1:-1]}
    return re.compile(r"(?<![\w.-])(?:" + "|".join(map(re.escape, sorted(spellings))) + r")(?![\w.-])")


def _replace(
    connection: sqlite3.Connection, column: str, tenant: str, names: re.Pattern[str], pseudonym: str
) -> int:
    sql = f"SELECT rowid, {column} FROM api_keys WHERE tenant = ? AND {column} IS NOT NULL"  # noqa: S608 - ours
    found = [
        (names.sub(lambda _: pseudonym, text), number)
        for number, text in connection.execute(sql, (tenant,))
        if names.search(text)
    ]
    connection.executemany(f"UPDATE api_keys SET {column} = ? WHERE rowid = ?", found)  # noqa: S608 - ours
    return len(found)
