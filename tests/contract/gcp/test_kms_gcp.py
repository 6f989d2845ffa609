"""Signing and wrapping with Cloud KMS, over the wire."""

import pytest
from grpc import StatusCode

from sluicegate.adapters.gcp.errors import GoogleError
from sluicegate.adapters.gcp.kms import KmsKeyWrapper, KmsSigner
from sluicegate.audit.errors import UnreadableError
from sluicegate.audit.keys import ed25519_verifies
from sluicegate.kernel.errors import ConfigurationError

RING = "projects/p/locations/l/keyRings/r/cryptoKeys"
VERSION = f"{RING}/log/cryptoKeyVersions/1"


async def test_what_is_signed_verifies_with_the_public_key(clients, google):
    signer = KmsSigner(clients, VERSION)
    with pytest.raises(ConfigurationError):
        _ = signer.public_key
    signature = await signer.sign(b"note")
    assert signer.public_key == google.kms.signing[VERSION].public_key().public_bytes_raw()
    assert ed25519_verifies(signer.public_key, b"note", signature)
    assert not ed25519_verifies(signer.public_key, b"mote", signature)


async def test_the_public_key_is_asked_for_once_and_not_at_all_where_it_is_known(clients, google):
    signer = KmsSigner(clients, VERSION)
    for _ in range(3):
        await signer.sign(b"x")
    assert google.calls == ["GetPublicKey", *["AsymmetricSign"] * 3]
    known = KmsSigner(clients, VERSION, signer.public_key)
    await known.sign(b"x")
    assert google.calls.count("GetPublicKey") == 1


async def test_a_key_of_another_kind_is_refused(clients):
    with pytest.raises(ConfigurationError, match="EC_SIGN_ED25519"):
        await KmsSigner(clients, f"{RING}/p256/cryptoKeyVersions/1").load()


@pytest.mark.parametrize("field", ["name", "pem", "pem_crc32c"])
async def test_a_public_key_that_was_changed_on_the_way_is_not_believed(clients, google, field):
    google.kms.spoil = field
    with pytest.raises(GoogleError, match="changed on the way"):
        await KmsSigner(clients, VERSION).load()


@pytest.mark.parametrize("field", ["name", "signature", "signature_crc32c", "verified_data_crc32c"])
async def test_a_signature_that_was_changed_on_the_way_is_not_believed(clients, google, field):
    signer = KmsSigner(clients, VERSION)
    await signer.load()
    google.kms.spoil = field
    with pytest.raises(GoogleError, match="changed on the way"):
        await signer.sign(b"x")


async def test_what_is_wrapped_unwraps_in_its_context_only(clients):
    wrapper = KmsKeyWrapper(clients, f"{RING}/root")
    wrapped = await wrapper.wrap(b"k" * 32, b"acme")
    assert b"k" * 8 not in wrapped
    assert await wrapper.unwrap(wrapped, b"acme") == b"k" * 32
    assert await wrapper.wrap(b"k" * 32, b"acme") != wrapped
    for other, content, context in (
        (wrapper, wrapped, b"other"),
        (wrapper, wrapped[:-1] + b"x", b"acme"),
        (wrapper, b"", b"acme"),
        (KmsKeyWrapper(clients, f"{RING}/another"), wrapped, b"acme"),
    ):
        with pytest.raises(UnreadableError):
            await other.unwrap(content, context)


@pytest.mark.parametrize(
    "field",
    [
        "ciphertext",
        "ciphertext_crc32c",
        "verified_plaintext_crc32c",
        "verified_additional_authenticated_data_crc32c",
    ],
)
async def test_a_wrapped_key_that_was_changed_on_the_way_is_not_kept(clients, google, field):
    google.kms.spoil = field
    with pytest.raises(GoogleError, match="changed on the way"):
        await KmsKeyWrapper(clients, f"{RING}/root").wrap(b"k" * 32, b"acme")


async def test_a_key_that_was_changed_on_the_way_back_is_not_used(clients, google):
    wrapper = KmsKeyWrapper(clients, f"{RING}/root")
    wrapped = await wrapper.wrap(b"k" * 32, b"acme")
    google.kms.spoil = "plaintext"
    with pytest.raises(GoogleError, match="changed on the way"):
        await wrapper.unwrap(wrapped, b"acme")


async def test_a_passing_failure_is_passed_over_and_a_refusal_is_not(clients, google):
    signer = KmsSigner(clients, VERSION)
    google.faults = [StatusCode.UNAVAILABLE, StatusCode.INTERNAL, None]
    await signer.load()
    google.faults = [StatusCode.PERMISSION_DENIED]
    with pytest.raises(GoogleError, match="account"):
        await signer.sign(b"x")
    assert google.calls == ["GetPublicKey"] * 3 + ["AsymmetricSign"]
