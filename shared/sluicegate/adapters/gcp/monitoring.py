"""Time series of Cloud Monitoring, and what they say about Pub/Sub's backlogs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sluicegate.adapters.gcp.clients import METRICS, GoogleClients
from sluicegate.adapters.gcp.pubsub import Backlog
from sluicegate.kernel.clock import Clock

Aligner = Literal["ALIGN_NONE", "ALIGN_RATE", "ALIGN_DELTA", "ALIGN_MEAN", "ALIGN_MAX", "ALIGN_PERCENTILE_99"]
Reducer = Literal["REDUCE_NONE", "REDUCE_SUM", "REDUCE_MEAN", "REDUCE_MAX", "REDUCE_PERCENTILE_99"]

# Pub/Sub's metrics come every minute, up to four minutes late.
_LOOK_BACK_S = 600.0
_WAITING = "pubsub.googleapis.com/subscription/num_undelivered_messages"
_OLDEST = "pubsub.googleapis.com/subscription/oldest_unacked_message_age"


@dataclass(frozen=True, slots=True)
class Series:
    """A time series: labels of metric and resource together; points (epoch seconds, value), oldest first."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


class Monitoring:
    """Reads the time series of a project."""

    def __init__(self, clients: GoogleClients, project: str) -> None:
        self._clients = clients
        self._project = f"projects/{project}"

    async def read(
        self, metric: str, since: float, until: float, *, where: Mapping[str, str] | None = None,
        every_s: int = 60, align: Aligner = "ALIGN_NONE", reduce: Reducer = "REDUCE_NONE",
        by: Sequence[str] = (),
    ) -> Sequence[Series]:  # fmt: skip
        """The series of `metric` in `(since, until]`, epoch seconds.

        `where`: what labels must be, by full name (`resource.labels.subscription_id`).
        `align`, `every_s`: how points are brought to equal distances; see Monitoring's aggregation.
        `reduce`, `by`: how series are brought together, but for those that differ in these labels.
        """
        conditions = [f"metric.type = {_quoted(metric)}"]
        conditions += [f"{label} = {_quoted(value)}" for label, value in (where or {}).items()]
        request: dict[str, Any] = {
            "name": self._project,
            "filter": " AND ".join(conditions),
            "interval": {"start_time": _timestamp(since), "end_time": _timestamp(until)},
            "view": "FULL",
        }
        if align != "ALIGN_NONE":
            request["aggregation"] = {
                "alignment_period": {"seconds": every_s},
                "per_series_aligner": align,
                "cross_series_reducer": reduce,
                "group_by_fields": list(by),
            }
        found = await self._clients.call_all(METRICS, "list_time_series", request)
        return [_series(each) for each in found]


class MonitoredBacklog:
    """`adapters.gcp.pubsub.BacklogOf`: what waits in a subscription, as Monitoring knows it, minutes late."""

    def __init__(self, monitoring: Monitoring, clock: Clock) -> None:
        self._monitoring = monitoring
        self._clock = clock

    async def __call__(self, subscription: str) -> Backlog:
        waiting = await self._newest(_WAITING, subscription)
        if waiting is None:
            return Backlog(0, None, 0.0)
        at, count = waiting
        oldest = await self._newest(_OLDEST, subscription) if count else None
        return Backlog(int(count), None if oldest is None else oldest[0] - oldest[1], at)

    async def _newest(self, metric: str, subscription: str) -> tuple[float, float] | None:
        now = self._clock.now()
        where = {"resource.labels.subscription_id": subscription.rpartition("/")[2]}
        found = await self._monitoring.read(metric, now - _LOOK_BACK_S, now, where=where)
        return max((point for series in found for point in series.points), default=None)


def _series(found: Any) -> Series:
    points = sorted((point.interval.end_time.timestamp(), _number(point.value)) for point in found.points)
    return Series({**found.resource.labels, **found.metric.labels}, points)


def _number(value: Any) -> float:
    # The library shows a oneof's unset members as zeroes; of distributions the mean is what is asked for.
    for kind in ("int64_value", "double_value", "bool_value"):
        if kind in value:
            return float(getattr(value, kind))
    return float(value.distribution_value.mean)


def _timestamp(at: float) -> dict[str, int]:
    seconds = int(at // 1)
    return {"seconds": seconds, "nanos": int((at - seconds) * 1e9)}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
