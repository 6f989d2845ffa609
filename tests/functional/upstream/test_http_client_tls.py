"""The client over TLS: verification, names, ALPN, stalls."""

import asyncio
import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.completions.types import UpstreamFailure


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for `localhost`, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.fixture
def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
async def trusting(certificate):
    client = HttpClient(ssl_context=ssl.create_default_context(cafile=certificate))
    yield client
    await client.aclose()


async def answer(peer, request):
    await peer.answer(request[1])


async def test_a_trusted_server_is_used_and_reused(wire, server_context, trusting, call):
    server = await wire(answer, tls=server_context)
    body = b"x" * 300_000
    for _ in range(3):
        assert await (await call(trusting, f"https://localhost:{server.port}", body)).read() == body
    assert server.accepted == 1


async def test_an_unknown_authority_is_refused(wire, server_context, client, call):
    server = await wire(answer, tls=server_context)
    with pytest.raises(UpstreamFailure, match="certificate is not accepted") as caught:
        await call(client, f"https://localhost:{server.port}")
    assert (caught.value.phase, caught.value.sent) == ("connect", False)
    assert server.requests == []


async def test_another_name_is_refused(wire, server_context, trusting, call):
    server = await wire(answer, tls=server_context)
    with pytest.raises(UpstreamFailure, match="certificate is not accepted"):
        await call(trusting, f"https://127.0.0.1:{server.port}")
    assert server.requests == []


async def test_only_http_1_1_is_offered(wire, server_context, client, call, monkeypatch, certificate):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    chosen = []

    async def handler(peer, request):
        chosen.append(peer.writer.get_extra_info("ssl_object").selected_alpn_protocol())
        await peer.answer()

    from sluicegate.adapters.web import http_client

    http_client._default_context.cache_clear()
    try:
        server = await wire(handler, tls=server_context)
        await (await call(client, f"https://localhost:{server.port}")).read()
    finally:
        http_client._default_context.cache_clear()
    assert chosen == ["http/1.1"]


async def test_a_handshake_that_stalls_runs_into_the_connect_deadline(call, trusting):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamFailure) as caught:
            await call(trusting, f"https://localhost:{port}", connect_s=0.05)
    assert (caught.value.phase, caught.value.timeout) == ("connect", True)


async def test_cancel_lingers_for_what_still_comes(wire, server_context, trusting, call):
    async def handler(peer, request):
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await asyncio.sleep(0.01)
        await peer.send(b"4\r\nlast\r\n0\r\n\r\n")

    server = await wire(handler, tls=server_context)
    reply = await call(trusting, f"https://localhost:{server.port}")
    assert await anext(reply.chunks()) == b"first"
    assert await reply.cancel(10.0) == b"last"
    await server.all_closed()
