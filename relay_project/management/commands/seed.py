"""`manage.py seed`: what a new installation needs to answer its first request. Running it again changes nothing."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from routing.documents import problems_of
from routing.models import Deployment, Policy, Provider, Route
from routing.services import import_policy, save_route
from tenants.models import Tenant, User
from tenants.services import create_tenant
from traces.samples import write_samples

DEMO_POLICY = settings.BASE_DIR / "policies" / "policy.demo.yaml"
OLLAMA_MODEL = "llama3.2:1b"


class Command(BaseCommand):
    help = "Make the tenant “default”, an admin, the demo's policy, providers and routes. Safe to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--samples", type=int, default=0, help="Sample traces for a tenant that is new (labelled as such)."
        )

    def handle(self, *args: Any, samples: int, **options: Any) -> None:
        tenant = Tenant.objects.filter(slug="default").first()
        new = tenant is None
        tenant = tenant or create_tenant(slug="default", name="Default")
        seed_admin()
        with transaction.atomic():
            policy = seed_policy(Path(settings.POLICY_PATH or DEMO_POLICY))
            seed_providers()
            seed_routes(policy)
        if new and samples:
            write_samples(tenant, count=samples)
        self.stdout.write(f"{'Seeded' if new else 'Nothing was missing for'} tenant default.")


def seed_admin() -> None:
    """The password of RELAY_ADMIN_PASSWORD is that of a new admin only: who changed it later keeps the change."""
    password = os.environ.get("RELAY_ADMIN_PASSWORD")
    if password and not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", email=None, password=password)


def seed_policy(path: Path) -> Policy:
    """The file's text as a new active version, unless it was one before: what was edited live stays in force."""
    try:
        text = path.read_text()
    except OSError as error:
        raise CommandError(f"POLICY_PATH: {path} cannot be read: {error.strerror}.") from error
    problems = problems_of(text)
    if problems:
        first = problems[0]
        raise CommandError(f"POLICY_PATH: {path}, line {first.line}: {first.path}: {first.message}")
    policy = Policy.objects.filter(tenant=None, slug="demo").first()
    if policy is None or not policy.versions.filter(text=text).exists():
        note = f"Loaded from {path.name}"
        import_policy(tenant=None, slug="demo", text=text, activated=True, note=note, author="seed")
    return Policy.objects.get(tenant=None, slug="demo")


def seed_providers() -> None:
    ollama = os.environ.get("OLLAMA_HOST") or "http://127.0.0.1:11434"
    seed_provider("ollama", "Ollama", Provider.Kind.OLLAMA, ollama if "://" in ollama else f"http://{ollama}")
    embedded = os.environ.get("RELAY_EMBEDDED_LLM_URL")
    if embedded:
        seed_provider("embedded", "Embedded llama.cpp", Provider.Kind.OPENAI, embedded)
    seed_provider("mock", "Mock", Provider.Kind.MOCK, "")
    seed_provider("minilm", "MiniLM", Provider.Kind.MINILM, "")


def seed_provider(slug: str, name: str, kind: str, base_url: str) -> None:
    """The address follows the environment (ports change); everything else belongs to who edits the row."""
    provider, new = Provider.objects.get_or_create(
        slug=slug, defaults={"name": name, "kind": kind, "base_url": base_url}
    )
    if not new and provider.base_url != base_url:
        provider.base_url = base_url
        provider.save(update_fields=["base_url"])


DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "ollama-llama": {
        "provider": "ollama",
        "model": OLLAMA_MODEL,
        "capacity": 4,
        "context_window": 8192,
        "connect_timeout_ms": 500,
    },
    "embedded-smollm2": {"provider": "embedded", "model": "smollm2-135m", "capacity": 4, "context_window": 2048},
    "mock-fast": {
        "provider": "mock",
        "model": "mock-1",
        "capacity": 64,
        "context_window": 128_000,
        "price_in_microusd": 150_000,
        "price_out_microusd": 600_000,
        "options": {"mean_ms": 40, "p95_ms": 120, "error_rate": 0.005, "seed": 7},
    },
    "mock-1b": {
        "provider": "mock",
        "model": "mock-1b",
        "capacity": 64,
        "options": {"mean_ms": 20, "p95_ms": 40, "seed": 1},
    },
    "mock-3b": {
        "provider": "mock",
        "model": "mock-3b",
        "capacity": 64,
        "options": {"mean_ms": 50, "p95_ms": 100, "seed": 3},
    },
    "minilm": {
        "provider": "minilm",
        "model": "all-MiniLM-L6-v2",
        "serves": Deployment.Serves.EMBEDDINGS,
        "capacity": 4,
        "context_window": 256,
    },
}
ROUTES: dict[str, dict[str, int | None]] = {  # the deployments in order, with their shares of a split
    "local-ollama": {"ollama-llama": None, "embedded-smollm2": None},
    "mock": {"mock-fast": None},
    "1b": {"mock-1b": None},
    "3b": {"mock-3b": None},
    "ab-test": {"mock-1b": 70, "mock-3b": 30},
    "minilm": {"minilm": None},
}
WITH_A_PATH = {"1b", "3b", "ab-test"}


def seed_routes(policy: Policy) -> None:
    providers = {provider.slug: provider for provider in Provider.objects.all()}
    for slug, values in DEPLOYMENTS.items():
        if values["provider"] in providers:
            defaults = {**values, "provider": providers[values["provider"]]}
            Deployment.objects.get_or_create(slug=slug, defaults=defaults)
    deployments = {row.slug: row for row in Deployment.objects.filter(slug__in=DEPLOYMENTS)}
    for name, steps in ROUTES.items():
        if not Route.objects.filter(tenant=None, name=name).exists():
            taken = Route.objects.filter(tenant=None, path=name).exists()
            route = Route(name=name, path=name if name in WITH_A_PATH and not taken else "", policy=policy)
            candidates = [(deployments[slug], share) for slug, share in steps.items() if slug in deployments]
            save_route(route, candidates=candidates)
