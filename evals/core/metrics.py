"""The figures of a run, each made of its results: what one result says, and how many of them become one figure.

A result may say nothing of a metric (None): a failed call has no latency, an answer that was not scored no score. Such
results are left out, so each figure is of those it concerns.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, NamedTuple

ANSWERED = frozenset({"ok", "refused"})
HITS = frozenset({"exact", "semantic"})
SCORE = "score:"  # and the scorer's name
SIMILARITY = "similarity"  # the scorer that says how close an answer is to the reference, or to the baseline's answer
ALIKE = 0.8  # of it; an answer below is another answer


class Answered(NamedTuple):
    """One result, as ``evals.models.Result`` keeps it. A NamedTuple, as there are thousands and they are resampled."""

    item: int
    repetition: int
    outcome: str  # ok, refused, limited, failed
    latency_ms: float | None
    ttft_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    cost_microusd: int
    cache: str  # miss, exact, semantic, off, or empty
    scores: Mapping[str, float]
    category: str = ""

    @property
    def answered(self) -> bool:
        return self.outcome in ANSWERED


@dataclass(frozen=True, slots=True)
class Metric:
    """``value`` of one result, and ``aggregate`` of the values of many (at least one)."""

    label: str
    unit: Literal["ms", "tokens", "microusd", "share", "score"]  # a share and a score are 0 to 1
    better: Literal["lower", "higher"]
    value: Callable[[Answered], float | None]
    aggregate: Callable[[Sequence[float]], float]


def quantile(share: float) -> Callable[[Sequence[float]], float]:
    """The nearest rank: a value that occurred."""

    def of(values: Sequence[float]) -> float:
        return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]

    return of


def _latency(result: Answered) -> float | None:
    return result.latency_ms if result.answered else None


def _ttft(result: Answered) -> float | None:
    return result.ttft_ms if result.answered else None


def _tokens_out(result: Answered) -> float | None:
    return result.tokens_out if result.answered else None


def _cost(result: Answered) -> float | None:
    """Failures that were charged count; those that cost nothing would make a policy that fails look cheap."""
    return result.cost_microusd if result.answered or result.cost_microusd else None


def _refused(result: Answered) -> float | None:
    return float(result.outcome == "refused") if result.answered else None


def _failed(result: Answered) -> float:
    return float(not result.answered)


def _hit(result: Answered) -> float | None:
    return float(result.cache in HITS) if result.answered else None


def _wrong_hit(result: Answered) -> float | None:
    """An answer from the cache that is unlike the one it should be; None if nothing says what it should be."""
    hit, similarity = _hit(result), result.scores.get(SIMILARITY)
    if not hit:
        return hit
    return None if similarity is None else float(similarity < ALIKE)


METRICS: Mapping[str, Metric] = {
    "p50_latency": Metric("Latency p50", "ms", "lower", _latency, quantile(0.50)),
    "p95_latency": Metric("Latency p95", "ms", "lower", _latency, quantile(0.95)),
    "p99_latency": Metric("Latency p99", "ms", "lower", _latency, quantile(0.99)),
    "ttft_p50": Metric("First token p50", "ms", "lower", _ttft, quantile(0.50)),
    "ttft_p95": Metric("First token p95", "ms", "lower", _ttft, quantile(0.95)),
    "tokens_out": Metric("Tokens an answer", "tokens", "lower", _tokens_out, fmean),
    "cost": Metric("Cost a request", "microusd", "lower", _cost, fmean),
    "refusal_rate": Metric("Refused by the model", "share", "lower", _refused, fmean),
    "error_rate": Metric("No answer", "share", "lower", _failed, fmean),
    "cache_hit_rate": Metric("From the cache", "share", "higher", _hit, fmean),
    "wrong_hits": Metric("Wrong cache hits", "share", "lower", _wrong_hit, fmean),
}


def metric_of(name: str) -> Metric:
    """One of METRICS, or the mean of a scorer's scores: ``score:exact``. Raises KeyError for anything else."""
    scorer = name.removeprefix(SCORE)
    if scorer in ("", name):
        return METRICS[name]
    label = scorer.replace("_", " ")
    return Metric(label[:1].upper() + label[1:], "score", "higher", lambda result: result.scores.get(scorer), fmean)


def metric_values(name: str, results: Sequence[Answered]) -> Sequence[float]:
    """In the order of the results; those that say nothing are left out."""
    value = metric_of(name).value
    return [said for result in results if (said := value(result)) is not None]


def aggregate(name: str, values: Sequence[float]) -> float:
    """``values``: at least one."""
    return metric_of(name).aggregate(values)


def figure(name: str, results: Sequence[Answered]) -> float | None:
    """None: no result says anything of it."""
    values = metric_values(name, results)
    return aggregate(name, values) if values else None


def metric_names(results: Sequence[Answered]) -> Sequence[str]:
    """All of METRICS, then each score that any result has."""
    scorers = sorted({scorer for result in results for scorer in result.scores})
    return [*METRICS, *(f"{SCORE}{scorer}" for scorer in scorers)]
