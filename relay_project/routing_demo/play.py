"""One scenario through the pipeline, request by request, and what came of it."""

import secrets
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

import orjson

from relay_project.routing_demo.scenarios import Asked, Scenario
from relay_project.routing_demo.stage import CALLER, StagedRuntime, staged
from routing import pipeline
from routing.catalogue import DEPLOYMENTS
from routing.core.candidate import Candidate, cost_microusd
from routing.core.infer import parse_infer
from routing.core.request import Called


@dataclass(slots=True)
class Outcome:
    scenario: Scenario
    by_provider: Counter[str] = field(default_factory=Counter)
    by_kind: dict[str, Counter[str]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    cost_microusd: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def as_json(self) -> dict[str, object]:
        return {
            "scenario": self.scenario.name,
            "requests": len(self.scenario.requests),
            "by_provider": dict(self.by_provider.most_common()),
            "failed": self.failures.total(),
            "cost_usd": self.cost_microusd / 1_000_000,
        }

    def paid(self) -> list[tuple[str, float]]:
        """What these tokens cost at the paid models of the catalogue, in dollars, cheapest first."""
        costs = [
            (seed.model, cost_microusd(_priced(seed.price_in_microusd, seed.price_out_microusd), *self.tokens))
            for seed in DEPLOYMENTS
            if not seed.is_free and seed.provider != "mock"
        ]
        return sorted(((model, cost / 1_000_000) for model, cost in costs), key=lambda item: item[1])

    @property
    def tokens(self) -> tuple[int, int]:
        return self.tokens_in, self.tokens_out


async def play(scenario: Scenario, tick: Callable[[int], None]) -> Outcome:
    """``tick`` hears of each request that ended. Raises NoRoom."""
    outcome = Outcome(scenario)
    async with staged(scenario) as runtime:
        for number, asked in enumerate(scenario.requests, 1):
            await _ask(runtime, asked, outcome)
            runtime.time += scenario.gap_s
            tick(number)
    return outcome


async def _ask(runtime: StagedRuntime, asked: Asked, outcome: Outcome) -> None:
    raw = orjson.dumps({"prompt": asked.prompt, "model": "auto", "max_tokens": asked.max_tokens})
    request = parse_infer(raw, Called(f"demo-{secrets.token_hex(6)}", "infer", metadata=asked.metadata))
    try:
        reply = await pipeline.complete(runtime, CALLER, request)
        async with aclosing(reply.body):
            answer = orjson.loads(b"".join([part async for part in reply.body]))
    except pipeline.Refused as refused:
        outcome.failures[str(refused)] += 1
        return
    outcome.by_provider[answer["provider"]] += 1
    outcome.by_kind.setdefault(asked.kind, Counter())[answer["provider"]] += 1
    outcome.cost_microusd += round(answer["cost"] * 1_000_000)
    outcome.tokens_in += answer["usage"]["prompt_tokens"]
    outcome.tokens_out += answer["usage"]["completion_tokens"]


def _priced(price_in: int, price_out: int) -> Candidate:
    return Candidate("", "", "", 0, price_in=price_in, price_out=price_out)
