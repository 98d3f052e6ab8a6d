import pytest
from django.test import Client

from conftest import unique
from tenants.models import Tenant, User
from tenants.services import create_tenant
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def tenant_a(committed: None) -> Tenant:
    """Of this module's own: its pages are counted."""
    return create_tenant(slug=unique("shop"), name="Shop")


@pytest.fixture(scope="module")
def tenant_b(committed: None) -> Tenant:
    """Of this module's own: its pages are counted."""
    return create_tenant(slug=unique("bank"), name="Bank")


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("staff"))
    return client


def test_staff_see_every_tenant_in_one_table(staff: Client, tenant_a: Tenant, tenant_b: Tenant) -> None:
    make_trace(tenant_a)
    make_trace(tenant_b, outcome="failed")
    make_trace(tenant_b)

    found = staff.get("/admin/?tenant=all").context["all"]
    rows = {row["tenant"].slug: row["sums"] for row in found.rows}

    assert (rows[tenant_a.slug].requests, rows[tenant_a.slug].failed_share) == (1, 0)
    assert (rows[tenant_b.slug].requests, rows[tenant_b.slug].failed_share) == (2, 0.5)
    assert rows[tenant_b.slug].cost_microusd == 3000
    assert found.totals.requests >= 3


def test_traces_of_all_tenants_ask_to_choose_one(staff: Client, tenant_a: Tenant) -> None:
    page = staff.get("/admin/traces/?tenant=all").content.decode()

    assert "Choose a tenant" in page
    assert f"/admin/traces/?tenant={tenant_a.slug}" in page


def test_a_failing_deployment_is_the_first_thing_to_see(staff: Client, tenant_a: Tenant) -> None:
    failed = {"number": 1, "deployment": "local-llama", "outcome": "failed", "status": 503}
    answered = {"number": 2, "deployment": "cloud", "outcome": "answered", "status": 200}
    for _ in range(3):
        make_trace(tenant_a, outcome="fell_back", attempts_json=[failed, answered])
    make_trace(tenant_a, outcome="limited", status=429, attempts_json=[])
    make_trace(tenant_a, outcome="failed", status=502, attempts_json=[failed])

    figures = staff.get(f"/admin/?tenant={tenant_a.slug}").context["figures"]

    titles = [problem.title for problem in figures.problems]
    assert titles == ["local-llama is failing 100.0% of attempts", "1 request got no answer", "1 request hit a limit"]
    assert {d.name: d.health for d in figures.deployments} == {"cloud": "Healthy", "local-llama": "Failing"}
    assert figures.totals.failed_share == 0.4


def test_a_new_tenant_sees_its_first_steps_until_its_first_request(staff: Client, tenant_a: Tenant) -> None:
    home = f"/admin/?tenant={tenant_a.slug}"
    make_trace(tenant_a, sample=True)
    new = staff.get(home).content.decode()
    make_trace(tenant_a)
    used = staff.get(f"{home}&range=custom&from=2026-01-01T00:00:00").content.decode()

    assert "First steps" in new
    assert "Sample data" in new
    assert "First steps" not in used
    assert "No problems in the last 24 hours" in used
