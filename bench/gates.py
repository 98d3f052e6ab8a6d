"""How often gates are right: `.venv/bin/python -m bench.gates [RUNS]` simulates pairs of runs and prints a table, and
another one of the ways to see 10 % more latency against a bound of 5 %.

Prompts differ in length (latencies log-normal, sigma 0.6); between two calls of one prompt latency varies by the named
share, with a heavy tail (Student's t, 3 degrees of freedom). The rules are the default gate's, with another score.
"""

import sys

import numpy as np

from evals.core.bootstrap import Levels, Sample, mean_interval, quantile_interval, typical_change_interval
from evals.core.gate import Rule, decide
from evals.core.metrics import Answered

RULES = (
    Rule("p50_latency", "at_most", "change", 5),
    Rule("p95_latency", "at_most", "change", 10),
    Rule("cost", "at_most", "change", 5),
    Rule("score:exact", "at_least", "change", -3),
    Rule("error_rate", "at_most", "difference", 0.02),
    Rule("refusal_rate", "at_most", "difference", 0.02),
    Rule("wrong_hits", "at_most", "value", 0.02),
)
LEVELS = Levels(0.05 / len(RULES), 0.05)  # as the gate's
ESTIMATORS = {
    "typical pair (the p50 rule)": lambda sample: typical_change_interval(sample, LEVELS),
    "ratio of the means": lambda sample: mean_interval(sample, "change", LEVELS),
    "ratio of the medians": lambda sample: quantile_interval(sample, 0.5, "change", LEVELS),
    "ratio of the p95": lambda sample: quantile_interval(sample, 0.95, "change", LEVELS),
}
HEADS = (
    *("noise", "pairs", "unchanged: the gate fails", "its p50 rule passes", "its p95 rule passes"),
    *("10 % more latency: the gate fails", "10 % of the answers wrong: the gate fails"),
)


def latencies_of(chance: np.random.Generator, typical: np.ndarray, noise: float, slower: float) -> np.ndarray:
    return typical * slower * np.exp(chance.standard_t(3, len(typical)) * noise / 3**0.5)


def run(chance: np.random.Generator, typical: np.ndarray, noise: float, slower: float, wrong: float) -> list[Answered]:
    latencies = latencies_of(chance, typical, noise, slower)
    right = chance.random(len(typical)) >= wrong
    return [
        Answered(item, 1, "ok", float(ms), None, 20, 100, 300, "miss", {"exact": float(good)})
        for item, (ms, good) in enumerate(zip(latencies, right, strict=True))
    ]


def shares(runs: int, pairs: int, noise: float, slower: float, wrong: float) -> tuple[float, float, float]:
    """Of gates that failed, of those whose rule of the median passed, of those whose rule of p95 passed."""
    chance, counted = np.random.default_rng(pairs), np.zeros(3)
    for _ in range(runs):
        typical = np.exp(chance.normal(6, 0.6, pairs))
        decision = decide(RULES, run(chance, typical, noise, 1, 0), run(chance, typical, noise, slower, wrong))
        passed = [finding.verdict == "pass" for finding in decision.findings]
        counted += (decision.verdict == "fail", passed[0], passed[1])
    return tuple(counted / runs)


def seen(runs: int, pairs: int, noise: float) -> list[float]:
    """Of each estimator, how often 10 % more latency is proven to be more than 5 %."""
    chance, found = np.random.default_rng(pairs), np.zeros(len(ESTIMATORS))
    for _ in range(runs):
        typical = np.exp(chance.normal(6, 0.6, pairs))
        before, after = (latencies_of(chance, typical, noise, slower) for slower in (1, 1.1))
        sample = Sample(np.arange(pairs), before, after)
        found += [interval(sample).low > 0.05 for interval in ESTIMATORS.values()]
    return list(found / runs)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print_gates(runs)
    print(f"\n| noise | pairs | {' | '.join(ESTIMATORS)} |\n{'|---' * (len(ESTIMATORS) + 2)}|")
    for pairs in (100, 200, 300, 600):
        print(f"| 15% | {pairs} | " + " | ".join(f"{one:.0%}" for one in seen(runs, pairs, 0.15)) + " |", flush=True)


def print_gates(runs: int) -> None:
    print(f"{runs} pairs of runs for each figure.\n")
    print(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|")
    for noise in (0.15, 0.25):
        for pairs in (30, 100, 300, 1_000):
            same = shares(runs, pairs, noise, 1, 0)
            slow, bad = shares(runs, pairs, noise, 1.1, 0)[0], shares(runs, pairs, noise, 1, 0.1)[0]
            print(
                f"| {noise:.0%} | {pairs:,} | " + " | ".join(f"{one:.1%}" for one in (*same, slow, bad)) + " |",
                flush=True,
            )


if __name__ == "__main__":
    main()
