import pytest

from sluicegate.kernel.money import usd
from sluicegate.ledger.usage import UsageRow

START = 1_767_225_600.0


def row(number, tenant="acme", **changes):
    values = {
        "request_id": f"req_{tenant}_{number}", "at": START + number * 1_800,
        "tenant": tenant, "workspace": "team",
        "user": f"user-{number % 2}", "key": "key_1", "agent": None, "mission": None,
        "task": "code" if number % 2 else None,
        "model": ("small", "large")[number % 2], "provider": "scripted",
        "requested_model": "auto", "input_tokens": 100, "cached_input_tokens": 10, "cache_write_tokens": 0,
        "output_tokens": 50, "reasoning_tokens": 5, "cost_nano": 1_000 + number, "held_nano": 2_000,
        "estimated": False, "latency_ms": 12.0, "first_byte_ms": None, "cache": "none", "outcome": "success",
    }  # fmt: skip
    return UsageRow(**{**values, **changes})


PERIOD = {"from": "2026-01-01", "to": "2026-01-02"}


@pytest.fixture
async def spent(api):
    await api.usage.append([*(row(n) for n in range(8)), *(row(n, "zeta", cost_nano=7) for n in range(3))])
    return api


async def test_spend_is_summed_by_any_dimension(spent):
    key = await spent.key()
    report = await spent.json("/spend", key, by="model,hour", **PERIOD)
    total = sum(1_000 + n for n in range(8))
    assert (report["tenant"], report["by"]) == ("acme", ["model", "hour"])
    assert report["total"]["cost_nano"] == total
    assert report["total"]["cost_usd"] == usd(total)
    assert sum(line["cost_nano"] for line in report["lines"]) == total
    assert {line["groups"]["hour"] for line in report["lines"]} == {f"2026-01-01T0{h}:00Z" for h in range(4)}
    narrowed = await spent.json("/spend", key, by="user", model="large", **PERIOD)
    assert [(line["groups"], line["requests"]) for line in narrowed["lines"]] == [({"user": "user-1"}, 4)]
    this_month = await spent.json("/spend", key)
    assert (this_month["from"], this_month["total"]["requests"]) == ("2026-01-01T00:00:00.000Z", 8)


async def test_cost_per_task_and_distribution_of_models(spent):
    key = await spent.key("acme", "finance")
    tasks = (await spent.json("/spend/tasks", key, **PERIOD))["tasks"]
    assert {task["task"]: task["requests"] for task in tasks} == {"code": 4, None: 4}
    assert tasks[0]["mean_cost_nano"] == 1_004
    models = (await spent.json("/spend/models", key, per="hour", **PERIOD))["models"]
    assert len(models) == 8
    assert all(model["share_of_requests"] == 0.5 for model in models)


async def test_each_tenant_sees_its_own(spent):
    report = await spent.json("/spend", await spent.key("zeta"), **PERIOD)
    assert (report["total"]["requests"], report["total"]["cost_nano"]) == (3, 21)
    assert (await spent.json("/spend", await spent.key("nobody"), **PERIOD))["lines"] == []


@pytest.mark.parametrize(
    "asked",
    [
        {"by": "colour"}, {"by": "model,model"}, {"by": "model,user,key,task,agent"},
        {"by": "hour,day"}, {"by": ""},
        {"limit": "0"}, {"limit": "10001"}, {"from": "2026-02-01", "to": "2026-01-01"}, {"tenant": "zeta"},
    ],
)  # fmt: skip
async def test_a_mistake_is_said(spent, asked):
    assert (await spent.get("/spend", await spent.key(), **asked)).status_code == 400
    assert (await spent.get("/spend/models", await spent.key(), per="model")).status_code == 400
