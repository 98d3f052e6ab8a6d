"""Rows of the catalogue. What is there already belongs to who edits it; only what is missing is made."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import zip_longest

from django.db import transaction

from routing.catalogue import DEPLOYMENTS, PROVIDERS, ROUTES, DeploymentSeed, ProviderSeed, RouteSeed
from routing.models import ACCOUNT_ID, Deployment, DeploymentLimit, Policy, Provider, Route, RouteCandidate


@transaction.atomic
def seed_catalogue(policy: Policy, environ: Mapping[str, str]) -> None:
    """``policy`` is that of new routes. Safe to run again."""
    for provider in PROVIDERS:
        _seed_provider(provider, _addresses(environ).get(provider.slug, ""))
    providers = {row.slug: row for row in Provider.objects.all()}
    for deployment in DEPLOYMENTS:
        if deployment.provider in providers:
            _seed_deployment(deployment, providers[deployment.provider])
    for route in ROUTES:
        _seed_route(route, policy)


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
    if not named and not seed.base_url and seed.kind != Provider.Kind.MOCK:
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
    """A path that somebody gave to another route stays there."""
    platforms = Route.objects.filter(tenant=None)
    if platforms.filter(name=seed.name).exists():
        return
    path = "" if platforms.filter(path=seed.path).exists() else seed.path
    route = Route.objects.create(name=seed.name, path=path, policy=policy)
    deployments = {row.slug: row for row in Deployment.objects.filter(slug__in=seed.candidates)}
    for position, (slug, share) in enumerate(zip_longest(seed.candidates, seed.shares)):
        if slug in deployments:
            RouteCandidate.objects.create(route=route, deployment=deployments[slug], position=position, share=share)
