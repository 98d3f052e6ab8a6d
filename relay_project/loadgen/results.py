"""What came back: counts and latencies, each from the moment at which its request was due."""

import csv
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from evals.core.load import Answer, Report, percentile, report_of


@dataclass(frozen=True, slots=True)
class Result:
    """``kind`` is “ok”, or what went wrong. Latency counts from ``due_s``, so a late start is not hidden."""

    due_s: float
    latency_ms: float
    kind: str
    status: int | None = None
    cache: str = ""
    provider: str = ""


@dataclass(slots=True)
class Results:
    all: list[Result] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.all.append(result)

    def summary(self, elapsed_s: float) -> dict[str, object]:
        """The final JSON; latencies are of all requests that were answered 200."""
        answered = sorted(item.latency_ms for item in self.all if item.kind == "ok")
        return {
            "requests": len(self.all),
            "qps": round(len(self.all) / elapsed_s, 1) if elapsed_s > 0 else 0.0,
            "p50_ms": percentile(answered, 0.50),
            "p95_ms": percentile(answered, 0.95),
            "p99_ms": percentile(answered, 0.99),
            "errors": dict(Counter(item.kind for item in self.all if item.kind != "ok").most_common()),
            "by_provider": dict(Counter(item.provider for item in self.all if item.provider).most_common()),
            "by_cache": dict(Counter(item.cache for item in self.all if item.cache).most_common()),
            "duration_s": round(elapsed_s, 2),
        }

    def report(self, elapsed_s: float) -> Report:
        """What is kept of the run."""
        answers = [
            Answer(item.due_s + item.latency_ms / 1000, item.latency_ms, "" if item.kind == "ok" else item.kind)
            for item in self.all
        ]
        return report_of(answers, elapsed_s)

    def line(self, since: int, window_s: float) -> str:
        """One line about the results from number ``since`` on, which took ``window_s``."""
        latest = self.all[since:]
        answered = sorted(item.latency_ms for item in latest if item.kind == "ok")
        errors = sum(item.kind != "ok" for item in self.all)
        figures = (f"{name} {_ms(percentile(answered, share))}" for name, share in SHARES)
        return f"{len(latest) / window_s:,.0f} a second · {' · '.join(figures)} · {errors:,} errors"

    def write_csv(self, path: Path) -> None:
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(Result.__slots__)
            rows.writerows([getattr(item, name) for name in Result.__slots__] for item in self.all)


SHARES = (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"
