"""Exports over HTTP: streamed, provable, of the own tenant only."""

import io
import json

import pytest
from verification_rig.files import KEY, export_report, problems

from sluicegate.adapters.local.export_source import ZipExport
from sluicegate.audit.export.formats import export_format
from sluicegate.audit.verify.export import ExportQuestion, verify_export


async def export(api, key=None, **asked):
    return await api.ask("POST", "/audit/exports", key, content=json.dumps(asked))


@pytest.mark.parametrize("name", ["jsonl", "csv", "parquet"])
async def test_an_archive_proves_itself_offline(api, tmp_path, name):
    if name == "parquet":
        pytest.importorskip("pyarrow", reason="the extra `export` is not installed")
    answer = await export(api, await api.key(), format=name)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="export.zip"'
    path = tmp_path / "export.zip"
    path.write_bytes(answer.content)
    report = verify_export(ExportQuestion(ZipExport(path), KEY), "x")
    assert report.holds, problems(report)
    assert report.checked["rows"] == report.checked["open rows"] == 147
    [(action, user, result, payload)] = api.told()
    assert (action, user, result, payload["rows"], payload["format"]) == (
        "audit.exported",
        "ann",
        "success",
        147,
        name,
    )


async def test_rows_alone_are_the_archives_rows(api):
    key = await api.key()
    answer = await export(api, key, format="csv", contents="rows", action="key.*")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(export_format("csv").read(io.BytesIO(answer.content)))
    assert [row["action"] for row in rows] == ["key.created", "key.revoked"]
    assert rows[0]["payload"] == {"key_id": "key_9"}


async def test_nothing_of_another_tenant_is_in_it(api):
    answer = await export(api, await api.key("zeta"), contents="rows")
    rows = list(export_format("jsonl").read(io.BytesIO(answer.content)))
    assert len(rows) == 145
    assert all(row["index"] % 2 for row in rows)
    nobody = await export(api, await api.key("nobody"), contents="rows")
    assert (nobody.status_code, nobody.content) == (200, b"")


async def test_an_empty_export_proves_that_it_is_signed(api, tmp_path):
    answer = await export(api, await api.key("nobody"))
    path = tmp_path / "export.zip"
    path.write_bytes(answer.content)
    report = verify_export(ExportQuestion(ZipExport(path), KEY), "x")
    assert report.holds, problems(report)
    assert report.checked["rows"] == 0


async def test_who_may_not_export_is_refused(api):
    assert (await export(api)).status_code == 401
    assert (await export(api, await api.key("acme", "ai_service"))).status_code == 403
    assert [each[0] for each in api.told()] == ["audit.exported"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[]", 400), ("{", 400), ('{"format": "xml"}', 400), ('{"tenant": "zeta"}', 400),
        ('{"from": 5}', 400),
        ('{"from": "2026-02-01", "to": "2026-01-01"}', 400), ('{"user": ""}', 400),
        ('{"a":"%s"}' % ("x" * 20_000), 413),
    ],
)  # fmt: skip
async def test_a_mistaken_request_is_refused(api, body, status):
    answer = await api.ask("POST", "/audit/exports", await api.key(), content=body)
    assert answer.status_code == status, answer.text
    assert api.told() == []


async def test_no_more_are_made_at_once_than_there_is_room_for(api):
    pages = [route.endpoint.__self__ for route in api.application.routes if route.path.endswith("/exports")]
    pages[0]._running = 2
    refused = await export(api, await api.key())
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    pages[0]._running = 0
    assert (await export(api, await api.key())).status_code == 200
    assert pages[0]._running == 0


async def test_an_export_is_of_one_moment_whatever_is_appended_meanwhile(api):
    from audit_rig.logs import usage

    files = {}
    exports = api.services.exports
    from sluicegate.audit.ports import EntryFilter

    made = await exports.begin("acme", EntryFilter(), export_format("jsonl"), "test")
    async for piece in made.files():
        files[piece.file] = files.get(piece.file, b"") + piece.content
        number = 1_000 + len(files) * 10_000 + piece.rows
        await api.log.append(*(usage(number + more, tenant="acme") for more in range(40)))
    report = export_report(files)
    assert report.holds, problems(report)
    assert (report.size, report.checked["rows"]) == (292, 147)
