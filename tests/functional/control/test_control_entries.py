"""A tenant's entries over HTTP: who may read them, what is told of it, what another tenant learns."""

import pytest

FILTERS = [
    ({"action": "key.*"}, 2),
    ({"action": "key.created"}, 1),
    ({"action": "model.access", "user": "user-1"}, 48),
    ({"user": "nobody"}, 0),
    ({"result": "failure"}, 0),
    ({"workspace": "team", "result": "success", "limit": 500}, 145),
    ({"from": "2026-01-01T00:00:00.100Z", "to": "2026-01-01T00:00:00.110Z"}, 5),
    ({"domain": "platform", "from": "2027-01-01"}, 0),
]


@pytest.mark.parametrize(("asked", "count"), FILTERS)
async def test_entries_are_found_by_what_they_say(api, asked, count):
    answer = await api.json("/audit/entries", await api.key(), **asked)
    assert len(answer["entries"]) == count
    assert all(entry["privacy"] == "open" for entry in answer["entries"])
    [(action, user, result, payload)] = api.told()
    assert (action, user, result, payload["count"]) == ("audit.read", "ann", "success", count)
    assert asked.get("user", "") not in str(payload) or "user" not in asked


async def test_pages_follow_one_another_without_gaps(api):
    key, seen, cursor = await api.key(), [], None
    while True:
        page = await api.json(
            "/audit/entries", key, limit=40, order="oldest", **({"cursor": cursor} if cursor else {})
        )
        seen += [entry["index"] for entry in page["entries"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 147
    newest = await api.json("/audit/entries", key, limit=1)
    assert newest["entries"][0]["timestamp"] >= "2026-01-01T00:00:00.288Z"


async def test_an_entry_has_exactly_the_documented_fields(api):
    key = await api.key()
    [listed] = (await api.json("/audit/entries", key, action="key.created"))["entries"]
    entry = await api.json(f"/audit/entries/{listed['id']}", key)
    assert entry == listed
    assert list(entry) == [
        "index", "id", "timestamp", "userId", "workspaceId", "action", "domain", "payload", "result",
        "reason",
        "ipAddress", "userAgent", "signature", "privacy",
    ]  # fmt: skip
    assert (entry["userId"], entry["ipAddress"], entry["payload"]) == (
        "alice",
        "192.0.2.1",
        {"key_id": "key_9"},
    )


async def test_another_tenants_entry_is_no_entry(api):
    own, other = await api.key("acme"), await api.key("zeta")
    [entry] = (await api.json("/audit/entries", own, action="key.created"))["entries"]
    unknown = {"id": "0" * 32, "index": 291_000}
    for path, asked, absent in (
        (f"/audit/entries/{entry['id']}", {}, (f"/audit/entries/{unknown['id']}", {})),
        (
            "/audit/proofs/inclusion",
            {"entry": entry["id"]},
            ("/audit/proofs/inclusion", {"entry": unknown["id"]}),
        ),
        (
            "/audit/proofs/inclusion",
            {"index": entry["index"]},
            ("/audit/proofs/inclusion", {"index": unknown["index"]}),
        ),
    ):
        assert (await api.get(path, own, **asked)).status_code == 200
        refused, missing = await api.get(path, other, **asked), await api.get(absent[0], other, **absent[1])
        assert refused.status_code == missing.status_code == 404
        assert _plain(refused) == _plain(missing)
    page = await api.json("/audit/entries", other, limit=1_000)
    assert entry["id"] not in {each["id"] for each in page["entries"]}
    # A cursor carries no right: another tenant's shows only the own entries beyond that place.
    cursor = (await api.json("/audit/entries", own, limit=5))["next"]
    page = await api.json("/audit/entries", other, cursor=cursor, limit=1_000)
    assert all(each["index"] % 2 for each in page["entries"])


@pytest.mark.parametrize(
    "path", ["/audit/entries", "/audit/entries/" + "0" * 32, "/audit/proofs/inclusion", "/spend"]
)
async def test_who_may_not_read_is_refused_and_the_log_knows(api, path):
    stranger = await api.get(path)
    assert (stranger.status_code, stranger.headers["www-authenticate"]) == (401, "Bearer")
    assert (await api.get(path, "sk-slg-aaaaaaaa-wrong-0")).status_code == 401
    refused = await api.get(path, await api.key("acme", "ai_service"))
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "permission_denied"
    [(_, user, result, payload)] = api.told()
    assert (user, result) == ("ann", "blocked")
    assert payload["path"] == f"/api/v1{path}"


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": 0}, {"limit": 1001}, {"limit": "ten"}, {"order": "up"}, {"cursor": "!"},
        {"actions": "x"}, {"user": ""},
        {"user": "x" * 257}, {"action": "Key.Created"}, {"action": "*"},
        {"result": "ok"}, {"from": "yesterday"},
        {"from": "2026-02-01", "to": "2026-01-01"},
    ],
)  # fmt: skip
async def test_a_mistake_is_said_and_named(api, asked):
    answer = await api.get("/audit/entries", await api.key(), **asked)
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (400, 400)
    assert problem["param"] in asked or "to" in asked
    assert problem["request_id"] == answer.headers["x-sluicegate-request-id"]


async def test_what_cannot_be_told_is_not_shown(api):
    from sluicegate.kernel.errors import DependencyUnavailableError

    async def away(events):
        raise DependencyUnavailableError("the bus is away", retry_after=1.0)

    api.log.told.publish = away
    answer = await api.get("/audit/entries", await api.key())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_fault_of_ours_shows_nothing_of_itself(api, caplog):
    async def broken(*arguments, **options):
        raise RuntimeError("a secret detail")

    api.services.queries.entries = broken
    answer = await api.get("/audit/entries", await api.key())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert answer.json()["request_id"] in str([vars(record) for record in caplog.records])


def _plain(answer):
    return {name: value for name, value in answer.json().items() if name != "request_id"}
