"""Tokens of an issuer elsewhere: its key set by address or by file, its audience, its new keys."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

AUDIENCE = "gateway-of-the-company"


class Issuer:
    """Signs tokens and publishes its public keys at `url`."""

    def __init__(self) -> None:
        self.keys = {"rsa-1": (rsa.generate_private_key(65_537, 2_048), "RS256")}
        issuer = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(issuer.public()).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def public(self) -> dict:
        algorithms = jwt.algorithms.get_default_algorithms()
        keys = [
            {
                **algorithms[algorithm].to_jwk(key.public_key(), as_dict=True),
                "kid": kid,
                "alg": algorithm,
                "use": "sig",
            }
            for kid, (key, algorithm) in self.keys.items()
        ]
        return {"keys": keys}

    def token(self, kid: str = "rsa-1", **claims) -> str:
        key, algorithm = self.keys[kid]
        now = int(time.time())
        base = {"iss": "ai-sdlc", "aud": AUDIENCE, "sub": "uma", "tenant": "company", "workspace": "green"}
        every = {**base, "roles": ["ai_service"], "iat": now, "exp": now + 600, **claims}
        return jwt.encode(every, key, algorithm=algorithm, headers={"kid": kid})

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.close()


@pytest.fixture(scope="module")
def trusting(start_gateway, issuer):
    tokens = {"unknown_key_every_s": 0.001, "refresh_s": 300}
    return start_gateway(
        "trusting", {"identity": {"tokens": tokens}}, JWT_JWKS_URL=issuer.url, JWT_AUDIENCE=AUDIENCE
    )


def test_an_issuers_token_signs_in(trusting, issuer):
    assert trusting.chat(key=issuer.token()).status == 200
    assert trusting.chat(key=issuer.token(aud="sluicegate")).status == 401
    assert trusting.chat(key=issuer.token(iss="another")).status == 401


def test_the_local_key_is_not_trusted_beside_it(trusting):
    local = trusting.cli("token", "issue", "--tenant", "company")["token"]
    assert trusting.chat(key=local).status == 401


def test_a_new_signing_key_is_found_when_it_is_first_used(trusting, issuer):
    issuer.keys["ed-2"] = (ed25519.Ed25519PrivateKey.generate(), "EdDSA")
    assert trusting.chat(key=issuer.token("ed-2")).status == 200


def test_a_key_set_may_come_from_a_file(start_gateway, issuer, tmp_path):
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(issuer.public()), "utf-8")
    changes = {"identity": {"tokens": {"jwks_file": str(path), "audience": AUDIENCE}}}
    gateway = start_gateway("from-file", changes)
    assert gateway.chat(key=issuer.token()).status == 200
    assert gateway.chat(key=gateway.cli("token", "issue")["token"]).status == 401


def test_a_key_set_from_a_plain_address_is_refused_at_start(start_gateway):
    with pytest.raises(AssertionError, match="JWT_JWKS_URL"):
        start_gateway("careless", JWT_JWKS_URL="http://keys.example.com/jwks.json")
