"""Rows of the catalogue. What is there already belongs to who edits it; only what is missing is made."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from django.db import transaction

from routing.catalogue import DEPLOYMENTS, PROVIDERS, ROUTES, DeploymentSeed, ProviderSeed, RouteSeed
from routing.models import ACCOUNT_ID, Deployment, DeploymentLimit, Policy, Provider, Route
from routing.services import save_route


@transaction.atomic
def seed_catalogue(policies: Mapping[str, Policy], environ: Mapping[str, str]) -> None:
    """``policies`` by slug: those that new routes name. Safe to run again."""
    for provider in PROVIDERS:
        _seed_provider(provider, _addresses(environ).get(provider.slug, ""))
    providers = {row.slug: row for row in Provider.objects.all()}
    for deployment in DEPLOYMENTS:
        if deployment.provider in providers:
            _seed_deployment(deployment, providers[deployment.provider])
    for route in ROUTES:
        _seed_route(route, policies[route.policy])


def _addresses(environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment says of addresses, by provider."""
    found = {}
    if ollama := environ.get("OLLAMA_HOST"):
        where = ollama if "://" in ollama else f"http://{ollama}"
        found["ollama"] = where.replace("://0.0.0.0", "://127.0.0.1")  # where it listens, not where it is
    if embedded := environ.get("RELAY_EMBEDDED_LLM_URL"):
        found["embedded"] = embedded
    if account := environ.get("CLOUDFLARE_ACCOUNT_ID"):
        base_url = next(item.base_url for item in PROVIDERS if item.slug == "cloudflare")
        found["cloudflare"] = base_url.replace(ACCOUNT_ID, account)
    return found


def _seed_provider(seed: ProviderSeed, named: str) -> None:
    """``named``: its address, if the environment says one; it is followed, because ports change. A server without any
    address is not there."""
    if not named and not seed.base_url and seed.kind not in Provider.WITHOUT_ADDRESS:
        return
    defaults = {
        **asdict(seed),
        "base_url": named or seed.base_url,
        "environments": list(seed.environments),
        "needs_credential": bool(seed.credential_env),
    }
    row, new = Provider.objects.get_or_create(slug=seed.slug, defaults=defaults)
    if not new and named and row.base_url != named and (seed.allow_private or ACCOUNT_ID in row.base_url):
        row.base_url = named
        row.save(update_fields=["base_url"])


def _seed_deployment(seed: DeploymentSeed, provider: Provider) -> None:
    """A free tier stays free: its price is not the vendor's list price."""
    values = asdict(seed) | dict(seed.more) | {"provider": provider, "price_by_hand": seed.is_free}
    limits = values.pop("limits")
    del values["more"]
    row, new = Deployment.objects.get_or_create(slug=seed.slug, defaults=values)
    for limit in limits if new else ():
        DeploymentLimit.objects.create(deployment=row, **limit)


def _seed_route(seed: RouteSeed, policy: Policy) -> None:
    if Route.objects.filter(tenant=None, name=seed.name).exists():
        return
    deployments = {row.slug: row for row in Deployment.objects.filter(slug__in=seed.candidates)}
    shares: Sequence[int | None] = seed.shares or [None] * len(seed.candidates)
    taken = Route.objects.filter(tenant=None, path=seed.path).exists()
    candidates = [
        (deployments[slug], share) for slug, share in zip(seed.candidates, shares, strict=True) if slug in deployments
    ]
    save_route(Route(name=seed.name, path="" if taken else seed.path, policy=policy), candidates=candidates)
