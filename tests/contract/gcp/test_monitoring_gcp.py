"""Time series of Cloud Monitoring, over the wire."""

import pytest

from sluicegate.adapters.gcp.monitoring import MonitoredBacklog, Monitoring
from sluicegate.kernel.clock import FixedClock

NOW = 1_767_225_600.0
METRIC = "run.googleapis.com/request_count"
WAITING = "pubsub.googleapis.com/subscription/num_undelivered_messages"
OLDEST = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"


@pytest.fixture
def monitoring(clients):
    return Monitoring(clients, "p")


async def test_all_pages_are_read_and_points_come_oldest_first(monitoring, google):
    for n in range(5):
        google.monitoring.add(METRIC, {"service_name": f"s{n}"}, [(NOW - 120, n), (NOW - 60, n + 1)])
    google.monitoring.add("another", {}, [(NOW - 60, 9)])
    found = await monitoring.read(METRIC, NOW - 300, NOW)
    assert [(each.labels["service_name"], list(each.points)) for each in found] == [
        (f"s{n}", [(NOW - 120, n), (NOW - 60, n + 1)]) for n in range(5)
    ]


async def test_only_the_labels_and_the_time_asked_for(monitoring, google):
    google.monitoring.add(
        METRIC, {"service_name": "a"}, [(NOW - 600, 1), (NOW - 60, 2.5)], kind="double_value"
    )
    google.monitoring.add(METRIC, {"service_name": "b"}, [(NOW - 60, 3)])
    found = await monitoring.read(METRIC, NOW - 300, NOW, where={"resource.labels.service_name": "a"})
    assert [list(each.points) for each in found] == [[(NOW - 60, 2.5)]]


async def test_aggregation_is_asked_for_as_the_api_names_it(monitoring, google):
    await monitoring.read(
        METRIC, NOW - 300, NOW + 0.5, every_s=300, align="ALIGN_RATE", reduce="REDUCE_SUM",
        by=["resource.labels.service_name"],
    )  # fmt: skip
    [request] = google.monitoring.requests
    aggregation = request.aggregation
    assert aggregation.alignment_period.total_seconds() == 300
    assert aggregation.per_series_aligner.name == "ALIGN_RATE"
    assert aggregation.cross_series_reducer.name == "REDUCE_SUM"
    assert list(aggregation.group_by_fields) == ["resource.labels.service_name"]
    assert request.interval.end_time.timestamp() == NOW + 0.5
    assert request.name == "projects/p"


async def test_what_waits_in_a_subscription_is_told_by_the_newest_points(monitoring, google):
    backlog = MonitoredBacklog(monitoring, FixedClock(NOW))
    name = "projects/p/subscriptions/sluicegate-audit-pull"
    assert await backlog(name) == (0, None, 0.0)
    labels = {"subscription_id": "sluicegate-audit-pull"}
    google.monitoring.add(WAITING, labels, [(NOW - 180, 40), (NOW - 120, 70)])
    google.monitoring.add(OLDEST, labels, [(NOW - 180, 30), (NOW - 120, 90)])
    google.monitoring.add(WAITING, {"subscription_id": "another"}, [(NOW - 60, 1)])
    assert await backlog(name) == (70, NOW - 210, NOW - 120)
    google.monitoring.add(WAITING, labels, [(NOW - 60, 0)])
    assert await backlog(name) == (0, None, NOW - 60)
