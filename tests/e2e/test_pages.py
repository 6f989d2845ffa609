"""Everything that is not a completion: models, health, metrics, OpenAPI, CORS, methods and paths."""

import anthropic
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

ORIGIN = "https://app.example.com"
COMPLETIONS = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"]


def test_openais_sdk_lists_models(openai_sdk):
    models = openai_sdk.call("models.list").data
    found = {model.id: model for model in models}
    assert {"scripted-small", "gpt-4.1", "claude-sonnet-4-6", "gemini-2.5-flash"} <= set(found)
    assert found["gpt-4.1"].object == "model"
    assert found["gpt-4.1"].owned_by == "openai"
    assert openai_sdk.call("models.retrieve", model="gpt-4.1").id == "gpt-4.1"
    with pytest.raises(openai.NotFoundError):
        openai_sdk.call("models.retrieve", model="gpt-imaginary")


def test_anthropics_sdk_lists_models(anthropic_sdk):
    page = anthropic_sdk.call("models.list")
    assert {"scripted-small", "gpt-4.1", "claude-sonnet-4-6"} <= {model.id for model in page.data}
    assert page.has_more is False
    assert page.first_id == page.data[0].id
    found = anthropic_sdk.call("models.retrieve", model_id="claude-sonnet-4-6")
    assert (found.type, found.id) == ("model", "claude-sonnet-4-6")
    with pytest.raises(anthropic.NotFoundError):
        anthropic_sdk.call("models.retrieve", model_id="claude-imaginary")


def test_anthropics_sdk_takes_a_model_at_its_word(anthropic_sdk):
    found = anthropic_sdk.call("models.retrieve", model_id="claude-sonnet-4-6")
    assert type(found).model_validate_json(found.to_json(exclude_unset=False), strict=False) == found
    assert found.lifecycle == "active"
    wanted = {name for name, field in type(found).model_fields.items() if field.is_required()}
    assert wanted <= found.model_fields_set
    assert found.max_input_tokens > found.max_tokens > 0


def test_anthropics_sdk_turns_the_pages_both_ways(gateway):
    with gateway.anthropic() as client:
        everything = [model.id for model in client.models.list()]
        assert len(everything) > 20
        assert [model.id for model in client.models.list(limit=7)] == everything
        last = client.models.list(limit=3, before_id=everything[10])
        assert [model.id for model in last.data] == everything[7:10]
        assert last.has_more
        first = client.models.list(limit=5, before_id=everything[3])
        assert ([model.id for model in first.data], first.has_more) == (everything[:3], False)
        end = client.models.list(after_id=everything[-1])
        assert (end.data, end.has_more, end.first_id, end.last_id) == ([], False, None, None)
        assert client.models.list(lifecycle=["retired"]).data == []
        assert len(client.models.list(lifecycle=["active", "retired"]).data) == len(everything)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("limit=%F0%9D%9F%97", "limit"),
        ("limit=-1", "limit"),
        ("after_id=imaginary", "after_id"),
        ("before_id=gpt-4.1%00", "before_id"),
        ("after_id=gpt-4.1&before_id=gpt-4.1", "before_id"),
        ("lifecycle=gone", "lifecycle"),
        ("&".join(f"a{number}=1" for number in range(60)), None),
    ],
)
def test_a_page_that_cannot_be_is_400(gateway, query, param):
    reply = gateway.request("GET", f"/v1/models?{query}", anthropic_version="2023-06-01")
    assert reply.status == 400
    error = reply.json()["error"]
    assert (error["type"], error["details"].get("param")) == ("invalid_request_error", param)
    assert gateway.request("GET", f"/v1/models?{query}").status == 200, "OpenAI has no such parameters"


def test_a_narrowed_key_cannot_start_a_page_at_a_model_it_may_not_see(gateway):
    key = gateway.make_key(tenant="narrow-pages", model="claude-haiku*")["key"]
    for name in ("gpt-4.1", "imaginary"):
        reply = gateway.request("GET", f"/v1/models?after_id={name}", key=key, anthropic_version="2023-06-01")
        assert reply.status == 400
        assert reply.json()["error"]["message"] == "after_id names no model of this list"


def test_every_model_listed_can_be_retrieved(gateway):
    ids = [model["id"] for model in gateway.request("GET", "/v1/models").json()["data"]]
    assert len(ids) == len(set(ids)) > 20
    for name in ids:
        found = gateway.request("GET", f"/v1/models/{name}")
        assert (found.status, found.json()["id"]) == (200, name)
    quoted = gateway.request("GET", "/v1/models/claude-sonnet-5-5%40vertex")
    assert quoted.json()["id"] == "claude-sonnet-5-5@vertex"


def test_models_need_a_key(gateway):
    assert gateway.request("GET", "/v1/models", key="").status == 401
    assert gateway.request("GET", "/v1/models/gpt-4.1", key="").status == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_key(gateway, path):
    reply = gateway.request("GET", path, key="")
    assert reply.status == 200
    assert reply.json()["status"] in {"ok", "ready"}
    assert reply.headers["content-type"] == "application/json"


def test_metrics_can_be_scraped(gateway):
    gateway.chat("for the metrics")
    gateway.chat(model="imaginary")
    reply = gateway.request("GET", "/metrics", key="")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    refused = {
        s.labels["code"]: s.value
        for s in families["sluicegate_refusals"].samples
        if s.name.endswith("_total")
    }
    assert refused["model_not_found"] >= 1
    assert families["sluicegate_requests_in_flight"].samples[0].value == 0
    answered = [
        sample
        for family in families.values()
        for sample in family.samples
        if sample.labels.get("model") == "scripted-small" and sample.value > 0
    ]
    assert answered
    assert all(family.documentation for family in families.values())


def test_openapi_is_true_to_the_routes(gateway):
    document = gateway.request("GET", "/openapi.json", key="").json()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        concrete = path.replace("{model}", "gpt-4.1")
        for method in ("GET", "POST", "PUT", "DELETE"):
            reply = gateway.request(method, concrete, body={} if method in {"POST", "PUT"} else None)
            described = method.lower() in operations
            assert (reply.status not in {404, 405}) is described, (method, path, reply.status)
            if described:
                assert str(reply.status) in operations[method.lower()]["responses"], (path, reply.status)


def test_openapi_names_what_answers_carry(gateway):
    document = gateway.request("GET", "/openapi.json", key="").json()
    described = document["paths"]["/v1/chat/completions"]["post"]["responses"]["200"]["headers"]
    sent = gateway.chat().headers
    assert {name for name in sent if name.startswith("x-sluicegate-")} <= set(described)


def test_every_control_in_openapi_is_known(gateway):
    document = gateway.request("GET", "/openapi.json", key="").json()
    parameters = document["paths"]["/v1/chat/completions"]["post"]["parameters"]
    unknown = gateway.chat(x_sluicegate_nonsense="1").json()["error"]["message"].partition("known are: ")[2]
    names = {p["name"].removeprefix("x-sluicegate-") for p in parameters if p["name"].startswith("x-")}
    assert names == set(unknown.split(", "))


@pytest.mark.parametrize("path", [*COMPLETIONS, "/v1/models", "/nothing"])
def test_a_preflight_from_an_allowed_origin(gateway, path):
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    reply = gateway.request("OPTIONS", path, key="", **asked)
    assert reply.status == 204
    assert reply.body == b""
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "POST" in reply.headers["access-control-allow-methods"]
    allowed = reply.headers["access-control-allow-headers"]
    assert all(name in allowed for name in ("authorization", "x-api-key", "idempotency-key"))
    assert reply.headers["vary"].lower() == "origin"


def test_every_control_may_come_from_a_browser(gateway):
    document = gateway.request("GET", "/openapi.json", key="").json()
    operation = document["paths"]["/v1/chat/completions"]["post"]
    reply = gateway.request("OPTIONS", "/v1/chat/completions", key="", origin=ORIGIN)
    allowed = set(reply.headers["access-control-allow-headers"].split(", "))
    assert {parameter["name"] for parameter in operation["parameters"]} <= allowed
    exposed = set(gateway.chat(origin=ORIGIN).headers["access-control-expose-headers"].split(", "))
    assert set(operation["responses"]["200"]["headers"]) <= exposed


def test_an_answer_to_an_allowed_origin_and_to_another(gateway):
    assert gateway.chat(origin=ORIGIN).headers["access-control-allow-origin"] == ORIGIN
    failed = gateway.chat(origin=ORIGIN, model="imaginary")
    assert failed.headers["access-control-allow-origin"] == ORIGIN, "a browser must be able to read errors"
    other = gateway.chat(origin="https://evil.example.com")
    assert other.status == 200
    assert "access-control-allow-origin" not in other.headers
    refused = gateway.request("OPTIONS", "/v1/messages", key="", origin="https://evil.example.com")
    assert "access-control-allow-origin" not in refused.headers
    listed = gateway.request("GET", "/v1/models", origin=ORIGIN)
    assert listed.headers["access-control-allow-origin"] == ORIGIN


@pytest.mark.parametrize("path", COMPLETIONS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_a_wrong_method_is_405(gateway, path, method):
    reply = gateway.request(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v1/chat", "/v1/chat/completions/", "/nothing", "/v1/models/a/b"]
)
def test_an_unknown_path_is_404_in_the_callers_protocol(gateway, path):
    reply = gateway.request("GET", path)
    assert reply.status == 404
    assert reply.json()["error"]["code"] == "not_found"
    other = gateway.request("GET", path, anthropic_version="2023-06-01")
    assert other.json()["type"] == "error"


@pytest.mark.parametrize(
    "path", ["/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/models", "/v1/models/gpt-4.1"]
)
def test_head_has_the_head_of_get(gateway, path):
    got, head = gateway.request("GET", path), gateway.request("HEAD", path)
    assert head.status == got.status == 200
    assert head.body == b""
    assert head.headers["content-type"] == got.headers["content-type"]
    if path != "/metrics":
        assert head.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize("path", ["/healthz", "/v1/models"])
def test_posting_to_a_page_is_405(gateway, path):
    reply = gateway.request("POST", path, body={})
    assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b'{"model": NaN}', b"\xff\xfe", b"[" * 5_000]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_body_that_is_no_request_is_400(gateway, path, body):
    reply = gateway.request("POST", path, body=body)
    assert reply.status == 400
    assert reply.json()["error"]["message"]


def test_metrics_can_be_for_whoever_has_the_token(start_gateway):
    token = "a-token-for-the-collector"
    guarded = start_gateway("scraped", METRICS_TOKEN=token)
    assert guarded.request("GET", "/metrics", key=token).status == 200
    for key in ("", guarded.key, token[:-1]):
        refused = guarded.request("GET", "/metrics", key=key)
        assert (refused.status, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert token not in guarded.log.read_text("utf-8")
