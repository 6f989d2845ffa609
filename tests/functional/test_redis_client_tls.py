"""TLS to Redis is verified, and a peer that goes silent is noticed."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sluicegate.adapters.redis.address import RedisAddress
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.errors import RedisUnavailable
from sluicegate.adapters.redis.subscription import Subscriber


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for `localhost` alone, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        writer.write(b"+PONG\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("host", "options", "welcome"),
    [
        ("localhost", "?ssl_ca_certs={ca}", True),
        ("127.0.0.1", "?ssl_ca_certs={ca}&ssl_check_hostname=false", True),
        ("127.0.0.1", "?ssl_ca_certs={ca}", False),
        ("localhost", "", False),
        ("127.0.0.1", "?ssl_check_hostname=false", False),
    ],
)
async def test_only_a_server_with_a_trusted_certificate_is_spoken_to(
    host: str, options: str, *, welcome: bool, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(pong, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    client = RedisClient.from_url(f"rediss://{host}:{port}{options.format(ca=certificate)}")
    try:
        if welcome:
            assert await client.execute("PING") == b"PONG"
        else:
            with pytest.raises(RedisUnavailable, match=r"(?i)certificate"):
                await client.execute("PING")
    finally:
        await client.close()
        server.close()


async def test_a_subscription_leaves_a_peer_that_gives_no_sign_of_life() -> None:
    connections = 0
    silent = asyncio.Event()
    gaps: list[None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        mute = connections == 1
        subscribed = False
        while data := await reader.read(4096):
            if mute and subscribed:
                silent.set()
                continue
            if b"SUBSCRIBE" in data:
                subscribed = True
                writer.write(b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
            elif b"PING" in data:
                writer.write(b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" if subscribed else b"+PONG\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    subscriber = Subscriber(RedisAddress.parse(f"redis://127.0.0.1:{port}"), 0.2, ping_every_s=0.05)
    await subscriber.add(b"c", lambda _: None, lambda: gaps.append(None))
    async with asyncio.timeout(10):
        await silent.wait()
        while not gaps:  # noqa: ASYNC110 - the condition is plain state, by design
            await asyncio.sleep(0.01)
    assert connections >= 2
    await subscriber.close()
    server.close()
