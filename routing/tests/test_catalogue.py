"""What a new installation knows, and that a second seed leaves alone what people changed."""

import importlib
from typing import Any

import pytest
from django.apps import apps

from conftest import unique
from routing import snapshot
from routing.catalogue import DEPLOYMENTS, PROVIDERS, ROUTES
from routing.models import Credential, Deployment, DeploymentLimit, Policy, Provider, Route
from routing.seeding import seed_catalogue
from routing.services import import_policy
from routing.tests.stage import NO_CACHE
from tenants.auth import Caller

pytestmark = pytest.mark.django_db
LIMITS = {
    "openrouter-deepseek-r1": {"200 requests a day", "20 requests a minute"},
    "groq-llama-3-3-70b": {"14,400 requests a day", "30 requests a minute"},
    "cloudflare-llama-3-1-8b": {"10,000 neurons a day"},
    "mistral-small": {"1,000,000,000 tokens a month", "60 requests a minute"},
}


@pytest.fixture
def policy() -> Policy:
    Route.objects.filter(tenant=None).delete()
    Deployment.objects.filter(steps=None).delete()
    Credential.objects.all().delete()
    Provider.objects.filter(deployments=None).delete()
    import_policy(tenant=None, slug="seeded", text=NO_CACHE, activated=True)
    return Policy.objects.get(tenant=None, slug="seeded")


def rows() -> Any:
    kinds = (Provider, Deployment, DeploymentLimit, Route)
    return [list(kind.objects.order_by("pk").values()) for kind in kinds]


def test_all_are_rows_that_could_have_been_saved_by_hand(policy: Policy) -> None:
    seed_catalogue({"demo": policy, "auto": policy}, {"RELAY_EMBEDDED_LLM_URL": "http://127.0.0.1:18081/v1"})
    assert {row.slug for row in Provider.objects.all()} >= {seed.slug for seed in PROVIDERS}
    deployments = Deployment.objects.filter(slug__in=[seed.slug for seed in DEPLOYMENTS])
    providers = Provider.objects.filter(deployments__in=deployments).distinct()
    for row in (*providers, *deployments, *DeploymentLimit.objects.filter(deployment__in=deployments)):
        row.full_clean()
    for slug, limits in LIMITS.items():
        assert {str(limit) for limit in Deployment.objects.get(slug=slug).limits.all()} == limits


def test_what_is_hosted_waits_for_its_credential_and_the_rest_is_ready(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in PROVIDERS:
        monkeypatch.delenv(seed.credential_env or "NONE_API_KEY", raising=False)
    seed_catalogue({"demo": policy, "auto": policy}, {"RELAY_EMBEDDED_LLM_URL": "http://127.0.0.1:18081/v1"})
    monkeypatch.setenv("GROQ_API_KEY", "gsk-1")
    caller = Caller(1, "nobody", "nobody", "id", "name", keep_content=True)
    route, _ = snapshot.load().route(caller, "auto")
    assert [(item.deployment, item.unavailable) for item in route.candidates["chat"].candidates] == [
        ("openrouter-deepseek-r1", "It needs a credential: store one or set OPENROUTER_API_KEY."),
        ("groq-llama-3-3-70b", ""),
        ("cloudflare-llama-3-1-8b", "Its address needs your account in place of ACCOUNT_ID."),
        ("nvidia-llama-3-3-70b", "It needs a credential: store one or set NVIDIA_API_KEY."),
        ("mistral-small", "It needs a credential: store one or set MISTRAL_API_KEY."),
        ("ollama-llama", ""),
        ("embedded-smollm2", ""),
    ]


def test_a_second_seed_changes_nothing(policy: Policy) -> None:
    environ = {"RELAY_EMBEDDED_LLM_URL": "http://127.0.0.1:18081/v1", "CLOUDFLARE_ACCOUNT_ID": "a1"}
    seed_catalogue({"demo": policy, "auto": policy}, environ)
    first = rows()
    seed_catalogue({"demo": policy, "auto": policy}, environ)
    assert rows() == first


def test_what_people_changed_stays(policy: Policy) -> None:
    seed_catalogue({"demo": policy, "auto": policy}, {})
    Provider.objects.filter(slug="groq").update(base_url="https://groq.example.com/v1", enabled=False)
    Provider.objects.filter(slug="ollama").update(base_url="http://127.0.0.1:7777")
    Deployment.objects.filter(slug="openai-gpt-4o").update(price_in_microusd=1, quality=3)
    Deployment.objects.get(slug="groq-llama-3-3-70b").limits.all().delete()
    Route.objects.get(name="auto", tenant=None).steps.first().delete()  # type: ignore[union-attr]
    edited = rows()
    seed_catalogue({"demo": policy, "auto": policy}, {})
    assert rows() == edited


def test_addresses_follow_the_environment_where_it_names_them(policy: Policy) -> None:
    seed_catalogue({"demo": policy, "auto": policy}, {})
    assert not Provider.objects.filter(slug="embedded").exists()
    seed_catalogue(
        {"demo": policy, "auto": policy},
        {
            "OLLAMA_HOST": "0.0.0.0:9999",
            "RELAY_EMBEDDED_LLM_URL": "http://127.0.0.1:18082/v1",
            "CLOUDFLARE_ACCOUNT_ID": "a1",
        },
    )
    addresses = dict(Provider.objects.values_list("slug", "base_url"))
    assert addresses["ollama"] == "http://127.0.0.1:9999"
    assert addresses["embedded"] == "http://127.0.0.1:18082/v1"
    assert addresses["cloudflare"] == "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1"


def test_the_values_fit_together() -> None:
    providers, deployments = {seed.slug for seed in PROVIDERS}, {seed.slug for seed in DEPLOYMENTS}
    assert {seed.provider for seed in DEPLOYMENTS} == providers
    assert {slug for route in ROUTES for slug in route.candidates} <= deployments
    splits = [route for route in ROUTES if route.shares]
    assert all(sum(route.shares) == 100 and len(route.shares) == len(route.candidates) for route in splits)


def test_paths_and_shares_are_seeded_and_a_path_that_is_taken_stays(policy: Policy) -> None:
    Route.objects.create(name=unique("mine"), path="3b", policy=policy)
    seed_catalogue({"demo": policy, "auto": policy}, {})
    paths = dict(Route.objects.filter(tenant=None).values_list("name", "path"))
    assert (paths["1b"], paths["3b"], paths["auto"]) == ("1b", "", "")
    split = Route.objects.get(tenant=None, name="ab-test")
    assert list(split.steps.values_list("deployment__slug", "share")) == [("mock-1b", 70), ("mock-3b", 30)]


def test_a_server_of_ones_own_that_was_in_use_stays_allowed() -> None:
    """Rows from before addresses were checked."""
    migration = importlib.import_module("routing.migrations.0006_prices")
    local = Provider.objects.create(slug=unique("local"), base_url="http://localhost:11434")
    hosted = Provider.objects.create(slug=unique("hosted"), base_url="https://8.8.8.8/v1")
    worst = Provider.objects.create(slug=unique("worst"), base_url="http://169.254.169.254/")
    migration.keep_what_works(apps, None)
    found = {row.slug: row.allow_private for row in Provider.objects.all()}
    assert (found[local.slug], found[hosted.slug], found[worst.slug]) == (True, False, False)
