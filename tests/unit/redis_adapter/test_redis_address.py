from pathlib import Path

import pytest

from sluicegate.adapters.redis.address import RedisAddress
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.kernel.errors import ConfigurationError


def test_all_parts_of_a_tcp_url() -> None:
    address = RedisAddress.parse("redis://app:p%40ss@cache.internal:6380/3")
    assert address == RedisAddress(
        host="cache.internal", port=6380, db=3, username="app", password="p@ss", tls=False
    )


def test_defaults() -> None:
    address = RedisAddress.parse("redis://localhost")
    assert (address.port, address.db, address.username, address.password) == (6379, 0, None, None)


def test_tls_with_its_own_authority() -> None:
    address = RedisAddress.parse("rediss://10.0.0.3:6378?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false")
    assert address.tls
    assert address.ca_file == Path("/etc/ca.pem")
    assert address.check_hostname is False


def test_tls_verifies_by_default() -> None:
    context = RedisAddress.parse("rediss://cache.internal").tls_context()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_unix_socket_with_password_and_database() -> None:
    address = RedisAddress.parse("unix://:secret@/run/redis.sock?db=2")
    assert (address.path, address.db, address.password) == ("/run/redis.sock", 2, "secret")


def test_ipv6() -> None:
    address = RedisAddress.parse("redis://[::1]:7000/0")
    assert (address.host, address.port) == ("::1", 7000)
    assert str(address) == "redis://[::1]:7000/0"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://:hunter2@host",
        "redis://",
        "redis://:hunter2@",
        "redis://:hunter2@host:notaport",
        "redis://:hunter2@host:99999999",
        "redis://:hunter2@host/notadb",
        "redis://:hunter2@host/-1",
        "redis://:hunter2@host?ssl=none",
        "redis://:hunter2@host?protocol=9",
        "rediss://:hunter2@host?ssl_check_hostname=maybe",
        "unix://:hunter2@relative.sock",
    ],
)
def test_a_wrong_url_is_refused_without_repeating_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_URL") as caught:
        RedisAddress.parse(url)
    assert "hunter2" not in str(caught.value)


def test_the_password_is_in_no_representation() -> None:
    url = "redis://app:hunter2@127.0.0.1:1/0"
    address = RedisAddress.parse(url)
    for text in (repr(address), str(address), repr(RedisClient.from_url(url))):
        assert "hunter2" not in text


def test_an_unreadable_authority_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match=r"ssl_ca_certs=/nowhere/ca\.pem"):
        RedisAddress.parse("rediss://h?ssl_ca_certs=/nowhere/ca.pem").tls_context()
