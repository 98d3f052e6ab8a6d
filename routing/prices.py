"""Prices of deployments from a public list: what would change, and the change itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from django.db import transaction

from routing.core.prices import Price, PriceList
from routing.models import Deployment, Provider

HOSTS = {  # of OpenAI-compatible vendors -> their name in the list
    "api.openai.com": "openai",
    "api.groq.com": "groq",
    "openrouter.ai": "openrouter",
    "api.cloudflare.com": "cloudflare",
    "integrate.api.nvidia.com": "nvidia_nim",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.deepinfra.com": "deepinfra",
    "api.cerebras.ai": "cerebras",
    "api.perplexity.ai": "perplexity",
    "api.sambanova.ai": "sambanova",
    "api.x.ai": "xai",
    "generativelanguage.googleapis.com": "gemini",
}
KINDS = {Provider.Kind.ANTHROPIC: ("anthropic",), Provider.Kind.BEDROCK: ("bedrock_converse", "bedrock")}


class Outcome(StrEnum):
    CHANGED = "changed"
    SAME = "same"
    BY_HAND = "kept, set by hand"
    UNKNOWN = "not in the list"


@dataclass(frozen=True, slots=True)
class Finding:
    deployment: Deployment
    outcome: Outcome
    price: Price | None = None


def compare(prices: PriceList, deployments: Iterable[Deployment], *, overwrite: bool = False) -> list[Finding]:
    """One finding for each deployment of a vendor; servers of one's own have no list price."""
    return [
        _finding(row, prices.find(vendors, row.model), overwrite)
        for row in deployments
        if (vendors := vendors_of(row.provider))
    ]


def _finding(row: Deployment, price: Price | None, overwrite: bool) -> Finding:
    if row.price_by_hand and not overwrite:
        return Finding(row, Outcome.BY_HAND, price)
    if price is None:
        return Finding(row, Outcome.UNKNOWN)
    now = (row.price_in_microusd, row.price_out_microusd, row.context_window)
    listed = (price.price_in, price.price_out, price.context_window or row.context_window)
    return Finding(row, Outcome.SAME if now == listed and not row.price_by_hand else Outcome.CHANGED, price)


def vendors_of(provider: Provider) -> tuple[str, ...]:
    """The provider's names in the list; none for a server of one's own."""
    if provider.kind != Provider.Kind.OPENAI:
        return KINDS.get(Provider.Kind(provider.kind), ())
    vendor = HOSTS.get(urlsplit(provider.base_url).hostname or "")
    return (vendor,) if vendor else ()


@transaction.atomic
def apply(findings: Iterable[Finding]) -> None:
    """In force everywhere within a second; traces keep the price that they were billed at."""
    for finding in findings:
        if finding.outcome is Outcome.CHANGED and finding.price is not None:
            Deployment.objects.filter(pk=finding.deployment.pk).update(
                price_in_microusd=finding.price.price_in,
                price_out_microusd=finding.price.price_out,
                context_window=finding.price.context_window or finding.deployment.context_window,
                price_by_hand=False,
            )
