"""Children of one metric by label values. Whatever comes in, there are never more than so many of them."""

from typing import Generic, TypeVar

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

OTHER = "other"
OVERFLOW = Counter(
    "relay_metric_overflow",
    "Observations counted as “other”, since their metric has all the series it may.",
    ["metric"],
)
M = TypeVar("M", bound=MetricWrapperBase)


class Series(Generic[M]):
    """``labels`` of the metric itself looks at every value twice and takes a lock; a dict does for a hot path."""

    def __init__(self, metric: M, limit: int) -> None:
        self._metric, self._limit = metric, limit
        self._children: dict[tuple[str, ...], M] = {}
        self._other: M | None = None

    def of(self, *values: str) -> M:
        """Label values in the metric's order."""
        child = self._children.get(values)
        return self._new(values) if child is None else child

    def _new(self, values: tuple[str, ...]) -> M:
        if len(self._children) < self._limit:
            child = self._children[values] = self._metric.labels(*values)
            return child
        OVERFLOW.labels(self._metric._name).inc()
        if self._other is None:
            self._other = self._metric.labels(*[OTHER] * len(values))
        return self._other
