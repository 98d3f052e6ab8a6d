"""The five scenarios: which requests come when, and under which policy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

REASONING = "Prove step by step that the square root of two is irrational, and explain why."
QUICK = "Is the sky blue? Answer quickly, in one word."
CHAT = "Tell me something nice about the sea."
AUTO, FAILOVER = "auto", "failover"


@dataclass(frozen=True, slots=True)
class Asked:
    """``kind`` is what a reader calls it; the request itself says it by its words or its metadata."""

    kind: str
    prompt: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    max_tokens: int = 60


@dataclass(frozen=True, slots=True)
class Scenario:
    """``gap_s``: virtual seconds between two requests. ``told``: what happens and why, for a reader."""

    name: str
    title: str
    told: str
    requests: tuple[Asked, ...]
    environment: str = "production"
    policy: str = AUTO
    gap_s: float = 4.0


def _mixed() -> tuple[Asked, ...]:
    kinds = (
        Asked("reasoning", REASONING),
        Asked("speed-critical", QUICK, {"priority": "speed"}),
        Asked("overflow", CHAT, {"priority": "bulk"}),
    )
    return kinds * 10


def _priced() -> tuple[Asked, ...]:
    """500 tokens in (of 4 bytes, and 4 for the message itself) and 300 out: 80,000 in a hundred requests."""
    kinds = (("reasoning", REASONING), ("speed-critical", QUICK), ("chat", CHAT))
    texts = [(kind, (text + " " + "word " * 500)[: 496 * 4 - 1]) for kind, text in kinds]
    return tuple(Asked(*texts[number % 3], max_tokens=300) for number in range(100))


SCENARIOS = (
    Scenario(
        "mixed",
        "30 mixed requests",
        "Reasoning goes to OpenRouter, what is speed-critical to Groq, bulk work overflows to Cloudflare. All is free.",
        _mixed(),
    ),
    Scenario(
        "quota",
        "250 requests against 200 a day",
        "OpenRouter grants 200 requests a day. The next in the failover order answers the other 50; none fails.",
        (Asked("reasoning", REASONING),) * 250,
        policy=FAILOVER,
    ),
    Scenario(
        "speed",
        "20 speed-critical requests",
        "Groq is the fastest, so it answers all of them.",
        (Asked("speed-critical", QUICK, {"priority": "speed"}),) * 20,
    ),
    Scenario(
        "development",
        "15 requests in development",
        "RELAY_ENV=development prefers local models and saves the free tiers.",
        (Asked("reasoning", REASONING), Asked("speed-critical", QUICK), Asked("chat", CHAT)) * 5,
        environment="development",
    ),
    Scenario(
        "cost",
        "100 requests, 80,000 tokens",
        "The free tiers answer them all; the table says what paid models would have cost.",
        _priced(),
        gap_s=6.0,
    ),
)
