"""The OpenAPI description against the application itself."""

import re


def _paths(routes):
    for route in routes:
        path = re.sub(r":\w+}", "}", route.path)
        for method in route.methods - {"HEAD"}:
            yield path.removeprefix("/api/v1"), method.lower()


async def test_every_path_is_described_and_nothing_else(api):
    document = await api.json("/openapi.json")
    described = {
        (path, method)
        for path, item in document["paths"].items()
        for method in item
        if method in {"get", "post"}
    }
    assert described == set(_paths(api.application.routes))
    assert document["servers"] == [{"url": "/api/v1"}]
    names = [
        item[m]["operationId"] for item in document["paths"].values() for m in ("get", "post") if m in item
    ]
    assert len(names) == len(set(names))


async def test_the_parameters_described_are_the_parameters_there_are(api):
    document = await api.json("/openapi.json")
    keys = {"entries": await api.key(), "spend": await api.key(), "proofs": await api.key()}
    for path, item in document["paths"].items():
        described = [each["name"] for each in item.get("get", {}).get("parameters", ())]
        if "get" not in item or not described:
            continue
        key = next((key for part, key in keys.items() if part in path), None)
        problem = (await api.get(path, key, nonsense="x")).json()
        assert set(problem["detail"].partition("there are ")[2].split(", ")) == set(described), path


async def test_what_needs_no_credential_is_described_so(api):
    document = await api.json("/openapi.json")
    for path, item in document["paths"].items():
        if "get" in item and "{" not in path:
            status = (await api.get(path)).status_code
            assert (status == 401) is (item["get"].get("security") is None), path


async def test_references_lead_somewhere(api):
    text = (await api.get("/openapi.json")).text
    document = await api.json("/openapi.json")
    for name in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert name in document["components"]["schemas"]


async def test_other_methods_are_refused(api):
    answer = await api.ask("DELETE", "/audit/entries")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await api.get("/audit")).json()["code"] == "not_found"
