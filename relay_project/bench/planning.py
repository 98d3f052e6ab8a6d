"""What planning alone costs: one request, 30 candidates with evidence, by points."""

import time
from statistics import median

from routing.core.candidate import Candidate
from routing.core.evidence import Evidence
from routing.core.features import Features
from routing.core.plan import ActivePolicy, ExecutionPlan, Surroundings, make_plan
from routing.documents import read_policy

CANDIDATES = 30
ROUNDS, PLANS = 15, 200
POLICY = """\
buckets:
  short: {max_input_tokens: 160, max_output_tokens: 256}
  medium: {max_input_tokens: 600, max_output_tokens: 512}
profiles:
  precise: {temperature: 0.2, top_p: 0.9}
defaults: {lane: long, max_tokens: 384, strategy: scored}
rules:
  - {name: coding, when: {task: coding}, then: {max_tokens: 512}}
  - {name: short-questions, when: {bucket: short}, then: {tier: fast, lane: short, decoding: precise}}
"""


def plan_cpu_ms() -> float:
    """CPU-ms of one ``make_plan`` in this process, the median of some rounds."""
    policy = ActivePolicy("bench", 1, read_policy(POLICY))
    rounds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(PLANS):
            plan_many(policy)
        rounds.append((time.process_time() - started) * 1000 / PLANS)
    return round(median(rounds), 4)


def plan_many(policy: ActivePolicy) -> ExecutionPlan:
    return make_plan(policy, Features("auto", "web", 120, 200), {}, MANY, EVIDENCE, Surroundings(1e9, {"UTC": 600}))


MANY = tuple(
    Candidate(
        f"deployment-{number}",
        "provider",
        f"model-{number}",
        128_000,
        price_in=100_000 * number,
        price_out=300_000 * number,
        environments=("production",),
        strengths={"chat": 0.6, "coding": 0.2},
    )
    for number in range(CANDIDATES)
)
EVIDENCE = {
    item.deployment: Evidence(100, number / 1000, 300.0 + 40 * number, quota_left=1 - number / 40)
    for number, item in enumerate(MANY)
}
