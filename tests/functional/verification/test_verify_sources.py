"""Where verification reads from: folders, archives, servers. What cannot be read is said."""

import http.server
import pickle
import threading
import zipfile

import pytest
from verification_rig.files import KEY, Log, a_log, export_report, problems

from sluicegate.adapters.local.export_files import write_file, write_folder
from sluicegate.adapters.local.export_source import FolderExport, ZipExport
from sluicegate.adapters.local.log_source import FolderLog
from sluicegate.adapters.web.log_source import ServedLog
from sluicegate.audit.export.archive import zipped
from sluicegate.audit.export.service import Piece
from sluicegate.audit.verify.export import ExportQuestion, verify_export
from sluicegate.audit.verify.log import LogQuestion, verify_log
from sluicegate.audit.verify.source import UnreadableSourceError
from sluicegate.kernel.errors import ConfigurationError


@pytest.fixture
async def folder(tmp_path):
    """A log's folder, as any web server can serve it."""
    files = (await a_log(600, 70)).files
    for name, content in files.items():
        path = tmp_path / "log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "log"


@pytest.fixture
def serve():
    """Serve a folder over HTTP/1.1; `answers` are statuses by path, given instead of the file."""
    servers = []

    def start(root, answers=None, *, cut=False):
        seen = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *args):
                super().__init__(*args, directory=str(root))

            def do_GET(self):
                seen.append((self.path, self.headers.get("authorization")))
                status = (answers or {}).get(self.path)
                if cut and len(seen) % 5 == 0:
                    self.connection.close()
                    self.close_connection = True
                elif status is not None:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    self.end_headers()
                else:
                    super().do_GET()

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def closed(source):
    source.close()


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_served_folder_verifies_like_the_folder(folder, serve, slash):
    local = verify_log(LogQuestion(FolderLog(folder), KEY), "x")
    assert local.holds, problems(local)
    url, seen = serve(folder)
    source = ServedLog(f"{url}{slash}", "sk-slg-key")
    served = verify_log(LogQuestion(source, KEY), url)
    closed(source)
    assert served.holds, problems(served)
    assert served.root == local.root
    assert served.checked["entries"] == local.checked["entries"]
    assert {credential for _, credential in seen} == {"Bearer sk-slg-key"}
    (folder / "tile/0/001").write_bytes(b"x" * 8_192)
    assert not verify_log(LogQuestion(source, KEY), url).holds
    closed(source)


def test_a_connection_that_breaks_is_made_again(folder, serve):
    url, _ = serve(folder, cut=True)
    source = ServedLog(url)
    assert verify_log(LogQuestion(source, KEY), url).holds
    closed(source)


def test_what_a_server_refuses_is_said(folder, serve):
    for status in (401, 403, 500, 302):
        url, _ = serve(folder, {"/tile/entries/000": status})
        source = ServedLog(url)
        with pytest.raises(UnreadableSourceError, match=str(status)):
            verify_log(LogQuestion(source, KEY), url)
        closed(source)
    url, _ = serve(folder, {"/tile/entries/000": 401})
    source = ServedLog(url)
    assert verify_log(LogQuestion(source, KEY, hashes_only=True), url).holds
    closed(source)
    url, _ = serve(folder, {"/tile/entries/000": 404})
    source = ServedLog(url)
    assert problems(verify_log(LogQuestion(source, KEY), url))[0].startswith("tile/entries/000")
    closed(source)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "ftp://127.0.0.1/x", "http:///x"])
def test_an_address_where_nothing_is_is_said(url):
    with pytest.raises(UnreadableSourceError):
        verify_log(LogQuestion(ServedLog(url), KEY), url)


def test_a_source_travels_to_other_processes_without_its_connection(folder, serve):
    url, _ = serve(folder)
    source = ServedLog(url, "secret")
    assert source.read("checkpoint")
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own
    assert (copy.url, copy.credential) == (source.url, "secret")
    assert "secret" not in repr(source)
    assert copy.read("checkpoint") == source.read("checkpoint")
    closed(source)
    closed(copy)


async def pieces(files):
    for name, content in files.items():
        for at in range(0, len(content) or 1, 1_000):
            yield Piece(name, content[at : at + 1_000])


async def test_an_archive_is_read_as_the_folder_is(tmp_path):
    log = Log()
    await log.start()
    files = await (await a_log(60, 30)).export()
    assert export_report(files).holds
    await write_folder(tmp_path / "folder", pieces(files))
    await write_file(tmp_path / "export.zip", zipped(pieces(files)))
    for source in (FolderExport(tmp_path / "folder"), ZipExport(tmp_path / "export.zip")):
        assert sorted(source.names()) == sorted(files)
        report = verify_export(ExportQuestion(source, KEY), "x")
        assert report.holds, problems(report)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "folder").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.zip", "folder"], "no draft is left"


async def test_an_export_that_breaks_off_leaves_nothing(tmp_path):
    async def broken():
        yield Piece("rows.jsonl", b"x")
        raise RuntimeError("the log went away")

    for write in (
        lambda: write_folder(tmp_path / "f", broken()),
        lambda: write_file(tmp_path / "z", zipped(broken())),
    ):
        with pytest.raises(RuntimeError, match="went away"):
            await write()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError):
        await write_folder(tmp_path / "file" / "below", pieces({"a": b""}))


async def test_archives_that_are_none_or_broken_are_said(tmp_path):
    files = await (await a_log(60, 30)).export()
    path = tmp_path / "export.zip"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(UnreadableSourceError):
        ZipExport(path).names()
    await write_file(tmp_path / "good.zip", zipped(pieces(files)))
    content = bytearray((tmp_path / "good.zip").read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnreadableSourceError):
        verify_export(ExportQuestion(ZipExport(path), KEY), "x")
    with zipfile.ZipFile(path, "w") as twice:
        twice.writestr("manifest.json", b"{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            twice.writestr("manifest.json", b"{ }")
    with pytest.raises(UnreadableSourceError, match="twice"):
        ZipExport(path).names()
    with zipfile.ZipFile(path, "w") as outside:
        for name, data in files.items():
            outside.writestr(name, data)
        outside.writestr("../escaped", b"x")
    report = verify_export(ExportQuestion(ZipExport(path), KEY), "x")
    assert problems(report) == ["../escaped: is not in the manifest"]
    assert not (tmp_path.parent / "escaped").exists()


def test_a_folder_that_is_not_there_is_an_empty_log(tmp_path):
    report = verify_log(LogQuestion(FolderLog(tmp_path / "nowhere"), KEY), "x")
    assert problems(report) == ["checkpoint: is missing"]
