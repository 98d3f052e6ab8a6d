"""What a route may use: a deployment with what the planner knows of it from configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tenants.core.limits import Limit

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A deployment that a route may use. Prices are micro-dollars per million tokens."""

    deployment: str
    provider: str
    model: str
    context_window: int
    price_in: int = 0
    price_out: int = 0
    capacity: int = 8
    account: str = ""  # the id of the tenant whose own credential is used; empty: the platform's
    unavailable: str = ""  # why it cannot be used at all (disabled, no credential), else empty
    share: int | None = None  # percent of a split
    environments: tuple[str, ...] = ()  # where its provider is preferred; empty: everywhere
    quality: int = 50  # 0 to 100
    strengths: Mapping[str, float] = field(default_factory=dict, hash=False)  # task -> 0 to 1
    typical_latency_ms: int = 1_000
    neurons_in: int = 0  # per million tokens
    neurons_out: int = 0
    limits: tuple[Limit, ...] = ()

    @property
    def circuit(self) -> str:
        """What evidence is kept for: a tenant's own account may fail while the platform's works, and the reverse."""
        return f"{self.deployment}@{self.account}" if self.account else self.deployment


def cost_microusd(candidate: Candidate, tokens_in: int, tokens_out: int) -> int:
    """Rounded up: a fraction of a micro-dollar counts as one."""
    return -(-(tokens_in * candidate.price_in + tokens_out * candidate.price_out) // MICRO)
