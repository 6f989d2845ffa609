import base64
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.identity.errors import RefusedCredentialError
from sluicegate.identity.issuing import TokenIssuer, TokenRequest, load_or_create_key
from sluicegate.identity.key_sets import KeySet, fixed, parse_key_set
from sluicegate.identity.policy import IdentityPolicy, RolesPolicy, TokenPolicy
from sluicegate.identity.tokens import TokenVerifier, name_of
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import (
    AuthenticationError,
    ConfigurationError,
    DependencyUnavailableError,
    InvalidRequestError,
)
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.tenancy import checked_name

ED = Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
ROLES = PolicySet().load("roles", RolesPolicy)


def public(key, kid):
    algorithm = jwt.algorithms.OKPAlgorithm if key is ED else jwt.algorithms.RSAAlgorithm
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid}


class Place:
    def __init__(self, **policy):
        self.clock = FixedClock()
        self.policy = TokenPolicy.model_validate(policy)
        self.served = {"keys": [public(ED, "ed"), public(RSA, "rsa")]}
        self.error = None
        self.reads = 0
        self.keys = KeySet(self.fetch, self.policy, self.clock)
        self.verifier = TokenVerifier(self.keys, ROLES, self.policy, self.clock)

    async def fetch(self):
        self.reads += 1
        if self.error:
            raise self.error
        return json.dumps(self.served).encode()

    def claims(self, **changes):
        now = int(self.clock.now())
        claims = {
            "iss": "ai-sdlc", "aud": "sluicegate", "sub": "kim", "iat": now, "exp": now + 3600,
            "jti": "tok-1", "tenant": "acme", "workspace": "growth", "roles": ["ai_service"],
        }  # fmt: skip
        claims.update(changes)
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key=ED, algorithm="EdDSA", headers=None, **changes):
        headers = {"kid": "ed"} if headers is None else headers
        return jwt.encode(self.claims(**changes), key, algorithm=algorithm, headers=headers).encode()


@pytest.fixture
def place():
    return Place()


async def test_a_good_token_becomes_its_principal(place):
    principal = await place.verifier.verify(place.token(plan="pro", zoneinfo="Europe/Berlin"))
    assert (principal.tenant, principal.workspace, principal.user) == ("acme", "growth", "kim")
    assert (principal.key_id, principal.method) == ("token.kim", "jwt")
    assert (principal.plan, principal.timezone) == ("pro", "Europe/Berlin")
    assert principal.permissions == {"execute_tasks", "access_models", "write_logs"}


async def test_rs256_is_verified_with_its_own_key(place):
    token = place.token(key=RSA, algorithm="RS256", headers={"kid": "rsa"})
    assert (await place.verifier.verify(token)).tenant == "acme"


async def test_without_a_key_id_the_only_key_of_the_algorithm_is_taken(place):
    assert await place.verifier.verify(place.token(headers={}))
    place.served["keys"].append(public(ED, "second"))
    place.clock.advance(400)
    with pytest.raises(RefusedCredentialError):
        await place.verifier.verify(place.token(headers={}))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "someone"}, "token_issuer"),
        ({"iss": None}, "token_issuer"),
        ({"aud": "other"}, "token_audience"),
        ({"aud": None}, "token_audience"),
        ({"aud": ["a", "b"]}, "token_audience"),
        ({"exp": None}, "token_claims"),
        ({"iat": None}, "token_claims"),
        ({"exp": True}, "token_claims"),
        ({"tenant": None}, "token_claims"),
        ({"tenant": "Acme|x"}, "token_claims"),
        ({"workspace": 7}, "token_claims"),
        ({"roles": ["root"]}, "token_claims"),
        ({"roles": [1]}, "token_claims"),
        ({"sub": None}, "token_claims"),
        ({"plan": ["pro"]}, "token_claims"),
        ({"plan": "gold"}, "token_claims"),
        ({"zoneinfo": "../x"}, "token_claims"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(place, changes, reason):
    token = place.token(**changes)
    with pytest.raises(RefusedCredentialError) as caught:
        await place.verifier.verify(token)
    assert caught.value.reason == reason
    assert not caught.value.guess


@pytest.mark.parametrize(
    ("issued", "expires", "reason"),
    [
        (-3600, -61, "token_expired"),
        (-3600, -59, None),
        (61, 3600, "token_early"),
        (59, 3600, None),
        (0, 3601, "token_life"),
        (0, 3600, None),
    ],
)
async def test_times_hold_to_the_second_with_a_minute_of_skew(place, issued, expires, reason):
    now = int(place.clock.now())
    token = place.token(iat=now + issued, exp=now + expires)
    if reason is None:
        assert await place.verifier.verify(token)
        return
    with pytest.raises(RefusedCredentialError) as caught:
        await place.verifier.verify(token)
    assert caught.value.reason == reason


async def test_a_token_for_several_audiences_and_with_a_text_of_roles(place):
    token = place.token(aud=["x", "sluicegate"], roles="ai_service human_reviewer")
    assert (await place.verifier.verify(token)).roles == {"ai_service", "human_reviewer"}


async def test_tenants_the_issuer_may_not_speak_for_are_refused():
    place = Place(tenants=["other"])
    with pytest.raises(RefusedCredentialError, match="tenant"):
        await place.verifier.verify(place.token())


def unsigned(header, claims):
    parts = (json.dumps(part).encode() for part in (header, claims))
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


async def test_none_and_symmetric_algorithms_are_never_accepted(place):
    claims = place.claims()
    raw = ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)  # as an HMAC secret
    forged = [unsigned({"alg": alg, "kid": "ed"}, claims) + b"." for alg in ("none", "None", "nOnE")]
    forged.append(jwt.encode(claims, raw, algorithm="HS256", headers={"kid": "ed"}).encode())
    forged.append(
        jwt.encode(
            claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers={"kid": "ed"}
        ).encode()
    )
    for token in forged:
        with pytest.raises(RefusedCredentialError):
            await place.verifier.verify(token)


async def test_keys_and_headers_of_the_tokens_own_are_not_believed(place):
    other = Ed25519PrivateKey.generate()
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(other.public_key(), as_dict=True)
    for headers in (
        {"kid": "ed"},
        {"kid": "ed", "jwk": jwk},
        {"jwk": jwk},
        {"kid": "no", "jku": "https://x"},
    ):
        with pytest.raises(RefusedCredentialError) as caught:
            await place.verifier.verify(place.token(key=other, headers=headers))
        assert caught.value.guess
    with pytest.raises(RefusedCredentialError):
        await place.verifier.verify(place.token(headers={"kid": "ed", "crit": ["exp"], "exp": 1}))


TOKEN = Place().token()


@given(st.binary(max_size=300) | st.integers(0, len(TOKEN) - 1).map(lambda n: TOKEN[:n] + b"!" + TOKEN[n:]))
async def test_garbage_is_refused_and_never_an_error(token):
    with pytest.raises(RefusedCredentialError):
        await Place().verifier.verify(token)


async def test_an_unknown_key_rereads_the_set_at_most_every_30_seconds(place):
    await place.verifier.verify(place.token())
    new = place.token(headers={"kid": "new"})
    for _ in range(20):
        with pytest.raises(RefusedCredentialError):
            await place.verifier.verify(new)
    assert place.reads == 1
    place.served["keys"].append(public(ED, "new"))
    place.clock.advance(31)
    assert await place.verifier.verify(new)
    assert place.reads == 2


async def test_a_withdrawn_key_stops_working_when_the_set_is_reread(place):
    token = place.token()
    await place.verifier.verify(token)
    place.served = {"keys": [public(RSA, "rsa")]}
    place.clock.advance(301)
    with pytest.raises(RefusedCredentialError):
        await place.verifier.verify(token)


async def test_with_the_source_away_known_keys_go_on_and_unknown_ones_say_so(place):
    token = place.token()
    place.error = OSError("no route")
    with pytest.raises(DependencyUnavailableError):
        await place.verifier.verify(token)
    place.clock.advance(31)
    place.error = OSError("still away")
    with pytest.raises(DependencyUnavailableError):
        await place.verifier.verify(token)
    assert place.reads == 2
    place.error = None
    place.clock.advance(31)
    assert await place.verifier.verify(token)
    place.error = OSError("no route")
    place.clock.advance(1000)
    assert await place.verifier.verify(place.token())


@pytest.mark.parametrize(
    "served",
    [
        {},
        {"keys": "x"},
        {"keys": ["x"]},
        {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]},
        {"keys": [{**public(ED, "a"), "d": "c2VjcmV0"}]},
        {"keys": [{**public(ED, "a"), "x": "AA"}]},
    ],
)
def test_a_wrong_or_secret_key_set_is_refused_whole(served):
    with pytest.raises(ValueError):
        parse_key_set(json.dumps(served).encode())


def test_keys_for_other_purposes_are_passed_over():
    keys = [{**public(RSA, "enc"), "use": "enc"}, {**public(RSA, "r"), "alg": "RS512"}, public(ED, "ok")]
    assert [kid for kid, _, _ in parse_key_set(json.dumps({"keys": keys}).encode())] == ["ok"]


async def test_an_issued_token_verifies_against_the_published_key_set(tmp_path):
    policy, clock = IdentityPolicy().tokens, FixedClock()
    key = load_or_create_key(tmp_path / "keys" / "token.pem")
    issuer = TokenIssuer(key, ROLES, policy, clock)
    again = TokenIssuer(load_or_create_key(tmp_path / "keys" / "token.pem"), ROLES, policy, clock)
    assert issuer.public_jwks() == again.public_jwks()
    assert "d" not in issuer.public_jwks()["keys"][0]
    assert (tmp_path / "keys" / "token.pem").stat().st_mode & 0o777 == 0o600
    verifier = TokenVerifier(KeySet(fixed(again.public_jwks()), policy, clock), ROLES, policy, clock)
    token = issuer.sign(TokenRequest("acme", "growth", "kim", roles=("ai_service",), plan="pro"))
    principal = await verifier.verify(token.text.encode())
    assert principal.expires_at == token.expires_at + policy.clock_skew_s
    assert (principal.tenant, principal.user, principal.plan) == ("acme", "kim", "pro")


def test_impossible_tokens_are_not_issued(tmp_path):
    issuer = TokenIssuer(ED, ROLES, TokenPolicy(), FixedClock())
    fields = {"tenant": "acme", "workspace": "growth", "user": "kim", "roles": ("ai_service",)}
    for changes, error in [
        ({"life_s": 3601}, InvalidRequestError),
        ({"tenant": "A"}, InvalidRequestError),
        ({"roles": ("root",)}, ConfigurationError),
    ]:
        with pytest.raises(error):
            issuer.sign(TokenRequest(**{**fields, **changes}))
    (tmp_path / "k.pem").write_text("no key")
    with pytest.raises(ConfigurationError, match=r"k\.pem"):
        load_or_create_key(tmp_path / "k.pem")


TEXT = st.text(st.characters(), max_size=100)  # lone surrogates too: JSON can carry them


@given(TEXT, TEXT)
def test_any_subject_gets_a_valid_name_of_its_own(one, other):
    assert checked_name(name_of(one))
    if one != other:
        assert name_of(one) != name_of(other)


async def test_the_authenticator_takes_tokens_and_remembers_them(make_world):
    world, place = make_world(), Place()
    authenticator = world.build(tokens=place.verifier)
    header = b"Bearer " + place.token()
    principal = await authenticator.authenticate(header, None, "c")
    assert authenticator.peek(header) is principal
    place.served = {"keys": []}
    with pytest.raises(AuthenticationError):
        await authenticator.authenticate(header[:-3] + b"AAA", None, "c")
    authenticator.forget("token.kim")
    assert authenticator.peek(header) is None
