"""The viewer as each role sees it, and what a page of it offers."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django_tenants.utils import tenant_context

from conftest import unique
from tenants.models import Membership, Tenant, User
from tenants.services import create_tenant
from traces.models import Trace
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db
SignIn = Callable[..., Client]
LIST = "/admin/traces/"


@pytest.fixture(scope="module")
def tenant_a(committed: None) -> Tenant:
    """Of this module's own: its pages are counted."""
    return create_tenant(slug=unique("shop"), name="Shop")


@pytest.fixture
def sign_in() -> SignIn:
    def signed_in(tenant: Tenant, role: str = Membership.Role.ANALYST) -> Client:
        user = User.objects.create_user(f"{role}-{tenant.slug}", password="secret", is_staff=True)
        Membership.objects.create(user=user, tenant=tenant, role=role)
        client = Client()
        client.force_login(user)
        return client

    return signed_in


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def rows_in(page: str) -> int:
    return page.count('<tr class="row"')


def test_a_new_tenant_gets_a_curl_to_send_the_first_request(sign_in: SignIn, tenant_a: Tenant) -> None:
    page = text(sign_in(tenant_a), LIST)

    assert "No traces yet" in page
    assert "curl http://testserver/v1/chat/completions" in page


def test_the_list_shows_the_prompt_where_it_went_and_what_it_cost(sign_in: SignIn, tenant_a: Tenant) -> None:
    make_trace(tenant_a)

    page = text(sign_in(tenant_a), LIST)

    for shown in ("Where is my parcel?", "llama-3.3-70b", "420 ms", "$0.0015", "web-prod", f"Traces | {tenant_a.name}"):
        assert shown in page or shown == f"Traces | {tenant_a.name}"
    assert f"{tenant_a.name} | Traces" in page
    assert f"?tenant={tenant_a.slug}" in page


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("outcome=failed", 1), ("outcome=failed,ok", 2), ("model=llama-3.3-70b", 1), ("deployment=none", 0), 
        ("key=batch", 1),
        ("lane=short", 2), ("policy=chat-default", 2), ("version=3", 1), ("cache=miss", 2),
        ("error=upstream_failed", 1),
        ("latency_min=1000", 1), ("latency_max=1000", 1), ("cost_min=0.001", 1), ("range=1h", 2), ("range=7d", 3),
        ("q=parcel", 1), ("q=batch", 1), ("q=req-failed", 1), ("q=nothing", 0), ("q=%00%25", 0),
        ("latency_min=nan&version=x&range=custom&from=9999-99-99", 2), ("version=99999999999999999999", 2),
    ],
)  # fmt: skip
def test_filters_narrow_the_list(sign_in: SignIn, tenant_a: Tenant, asked: str, found: int) -> None:
    failed: dict[str, Any] = {
        "outcome": "failed",
        "status": 502,
        "error_code": "upstream_failed",
        "prompt_line": "A story",
    }
    make_trace(tenant_a)
    make_trace(tenant_a, **failed, request_id="req-failed", model="gpt", api_key="batch", policy_version=2,
               latency_ms=2000, cost_microusd=0, cache="miss")  # fmt: skip
    make_trace(tenant_a, age=timedelta(days=3))

    assert rows_in(text(sign_in(tenant_a), f"{LIST}?{asked}")) == found


def test_no_match_offers_to_clear_and_to_widen(sign_in: SignIn, tenant_a: Tenant) -> None:
    make_trace(tenant_a)

    page = text(sign_in(tenant_a), f"{LIST}?outcome=failed")

    assert "No match" in page
    assert "Clear filters" in page
    assert "range=7d" in page


def test_pages_follow_a_cursor_there_and_back(sign_in: SignIn, tenant_a: Tenant) -> None:
    for minute in range(120):
        make_trace(tenant_a, age=timedelta(minutes=minute), prompt_line=f"Question {minute}.")
    client = sign_in(tenant_a)

    first = client.get(LIST)
    second = client.get(LIST + first.context["older_url"])
    third = client.get(LIST + second.context["older_url"])
    back = client.get(LIST + third.context["newer_url"])

    def shown(response: object) -> list[str]:
        return [row.prompt_line for row in response.context["page"].rows]  # type: ignore[attr-defined]

    assert shown(first) + shown(second) + shown(third) == [f"Question {minute}." for minute in range(120)]
    assert shown(back) == shown(second)
    assert not first.context["newer_url"]
    assert not third.context["older_url"]


def test_traces_of_the_same_instant_are_all_listed_once(sign_in: SignIn, tenant_a: Tenant) -> None:
    instant = make_trace(tenant_a).started_at
    for _ in range(60):
        make_trace(tenant_a, started_at=instant)
    client = sign_in(tenant_a)

    first = client.get(LIST)
    second = client.get(LIST + first.context["older_url"])

    ids = {row.pk for response in (first, second) for row in response.context["page"].rows}
    assert len(ids) == 61


def test_live_counts_what_is_newer_than_the_first_row(sign_in: SignIn, tenant_a: Tenant) -> None:
    make_trace(tenant_a, age=timedelta(minutes=9))
    client = sign_in(tenant_a)
    after = client.get(LIST).context["live_after"]
    make_trace(tenant_a, age=timedelta(minutes=1))
    make_trace(tenant_a, age=timedelta(minutes=2), outcome="failed")

    assert client.get(f"{LIST}live?after={after}").json() == {"newer": 2, "more": False}
    assert client.get(f"{LIST}live?after={after}&outcome=failed").json()["newer"] == 1
    assert client.get(f"{LIST}live?after=rubbish").json()["newer"] == 0


def test_the_list_asks_few_questions_of_the_database(sign_in: SignIn, tenant_a: Tenant) -> None:
    for _ in range(20):
        make_trace(tenant_a)
    client = sign_in(tenant_a)
    client.get(LIST)

    with CaptureQueriesContext(connection) as asked:
        client.get(LIST)

    assert len([query for query in asked if "search_path" not in query["sql"]]) < 12


def test_a_trace_tells_its_story(sign_in: SignIn, tenant_a: Tenant) -> None:
    newer = make_trace(tenant_a, age=timedelta(minutes=1))
    trace = make_trace(tenant_a, age=timedelta(minutes=2))
    older = make_trace(tenant_a, age=timedelta(minutes=3))

    page = text(sign_in(tenant_a), f"{LIST}{trace.pk}/")

    for heading in ("What happened", "Timeline", "Candidates", "Plan", "Cache", "Conversation", "Raw request"):
        assert f"{heading}</" in page
    for shown in ("policy <code>chat-default</code> v3", "It arrives on Monday.", "Is the parcel lost?", "needs 0.95"):
        assert shown in page
    assert f"{newer.pk}/?tenant" in page
    assert f"{older.pk}/?tenant" in page
    assert "$RELAY_API_KEY" in page


def test_neighbours_stay_within_the_filter(sign_in: SignIn, tenant_a: Tenant) -> None:
    make_trace(tenant_a, age=timedelta(minutes=1))
    trace = make_trace(tenant_a, age=timedelta(minutes=2), outcome="failed")
    older = make_trace(tenant_a, age=timedelta(minutes=9), outcome="failed")
    make_trace(tenant_a, age=timedelta(minutes=3))

    response = sign_in(tenant_a).get(f"{LIST}{trace.pk}/?outcome=failed")

    assert response.context["newer_url"] == ""
    assert str(older.pk) in response.context["older_url"]


def test_a_prompt_is_shown_as_text_and_never_runs(sign_in: SignIn, tenant_a: Tenant) -> None:
    evil = '<img src=x onerror=alert(1)>`"</script>'
    request = {"messages": [{"role": "user", "content": evil}, {"role": "tool", "content": f'{{"a": "{"<b>"}"}}'}]}
    trace = make_trace(
        tenant_a, prompt_line=evil, route=evil, reason=evil, request_json=request, spans_json=[{"name": evil}]
    )
    client = sign_in(tenant_a)

    for path in (LIST, f"{LIST}{trace.pk}/", f"{LIST}{trace.pk}/peek"):
        page = text(client, path)
        assert "<img src=x" not in page
        assert "<b>&quot;" not in page


@pytest.mark.parametrize("body", [None, 5, "text", [], [1], {"messages": 5}, {"messages": [1, {"content": [3, {}]}]}])
def test_a_request_of_any_shape_can_be_looked_at(sign_in: SignIn, tenant_a: Tenant, body: object) -> None:
    trace = make_trace(
        tenant_a, outcome="rejected", status=400, request_json=body, response_json=body, plan_json=None,
        cache_json=body, scheduler_json=body, attempts_json=[], spans_json=[], decision_trace_json=[],
    )  # fmt: skip

    assert "Rejected 400" in text(sign_in(tenant_a), f"{LIST}{trace.pk}/")


SCORED = {
    "strategy": "scored",
    "weights": {"cost": 30, "quota": 20, "health": 30, "latency": 10, "task": 15, "environment": 0},
    "candidates": [
        {"deployment": "local-llama", "verdict": "first", "p95_ms": 640, "within_limits": True,
         "factors": {"cost": 30, "quota": 5, "health": -12.5, "latency": 7.04, "task": 3, "total": 32.54}},
        {"deployment": "tired", "verdict": "next", "why": "Failed lately; tried last for 9 s more.",
         "within_limits": False, "factors": {"cost": 30, "total": 90}},
        {"deployment": "off", "verdict": "ruled out", "why": "It is switched off."},
    ],
}  # fmt: skip


def test_a_scored_plan_shows_candidates_by_factors(sign_in: SignIn, tenant_a: Tenant) -> None:
    trace = make_trace(tenant_a, plan_json=SCORED)

    page = text(sign_in(tenant_a), f"{LIST}{trace.pk}/")

    for shown in (
        "of 105",
        "<b>32.5</b>",
        "−12.5",
        'style="width:41.6667%"',
        "640 ms",
        "resting",
        "It is switched off.",
    ):
        assert shown in page
    assert "Failed lately; tried last for 9 s more." in page


def test_a_candidate_that_its_breaker_kept_away_is_not_called_needless(sign_in: SignIn, tenant_a: Tenant) -> None:
    why = "Its breaker is open (connection refused); not asked for 4.0 s more."
    step = {"step": "breaker", "subject": "local-llama", "outcome": "passed over", "why": why}
    trace = make_trace(tenant_a, plan_json=SCORED, attempts_json=[], decision_trace_json=[step], endpoint="infer")

    page = text(sign_in(tenant_a), f"{LIST}{trace.pk}/")
    table = page[page.index('id="candidates"') :].partition("</section>")[0]

    assert "Passed over" in table and why in table
    assert table.count("Not needed") == 1, "only the one that was not reached"
    assert ">infer</span>" in page


@pytest.mark.parametrize(
    "plan",
    [
        {"weights": 5, "candidates": [{"factors": 5}]},
        {"weights": {"cost": "30"}, "candidates": [{"factors": {"cost": "x"}, "facts": [], "position": 1}, 7]},
        {"weights": {"cost": -5}, "candidates": {"deployment": "x"}},
    ],
)
def test_a_damaged_plan_can_be_looked_at(sign_in: SignIn, tenant_a: Tenant, plan: object) -> None:
    trace = make_trace(tenant_a, plan_json=plan)

    assert "What happened" in text(sign_in(tenant_a), f"{LIST}{trace.pk}/")


def test_content_that_was_not_stored_names_the_setting(sign_in: SignIn, tenant_a: Tenant) -> None:
    trace = make_trace(tenant_a, request_json=None, response_json=None, prompt_line="")

    assert "Traces keep" in text(sign_in(tenant_a), f"{LIST}{trace.pk}/")


def test_a_request_that_could_not_be_read_blames_no_setting(sign_in: SignIn, tenant_a: Tenant) -> None:
    refusal = {"error": {"message": "The body is not JSON."}}
    trace = make_trace(tenant_a, outcome="rejected", status=400, request_json=None, response_json=refusal)
    page = text(sign_in(tenant_a), f"{LIST}{trace.pk}/")
    assert "Relay could not read the request" in page and "Traces keep" not in page


def test_export_holds_the_filtered_rows_and_no_formula(sign_in: SignIn, tenant_a: Tenant) -> None:
    make_trace(tenant_a, prompt_line='=HYPERLINK("http://evil")', outcome="failed")
    make_trace(tenant_a)

    body = text(sign_in(tenant_a), f"{LIST}export.csv?outcome=failed")

    assert body.count("\r\n") == 2
    assert "'=HYPERLINK" in body


SECRETS = ("Where is my parcel", "It arrives on Monday", "Is the parcel lost", "It&#x27;s late", "upstream said parcel")


def test_a_viewer_sees_metadata_and_no_content_anywhere(sign_in: SignIn, tenant_a: Tenant) -> None:
    attempt = {"number": 1, "deployment": "d", "outcome": "failed", "status": 503, "error": "upstream said parcel"}
    trace = make_trace(tenant_a, attempts_json=[attempt])
    client = sign_in(tenant_a, Membership.Role.VIEWER)

    for path in (LIST, f"{LIST}{trace.pk}/", f"{LIST}{trace.pk}/peek", f"{LIST}export.csv", "/admin/"):
        page = text(client, path)
        assert not [secret for secret in SECRETS if secret in page], path
    assert "ask an owner for analyst" in text(client, f"{LIST}{trace.pk}/")
    for part in ("request", "response"):
        assert client.get(f"{LIST}{trace.pk}/{part}.json").status_code == 404


def test_a_viewer_cannot_guess_prompts_by_searching(sign_in: SignIn, tenant_a: Tenant) -> None:
    make_trace(tenant_a)
    client = sign_in(tenant_a, Membership.Role.VIEWER)

    assert rows_in(text(client, f"{LIST}?q=parcel")) == 0
    assert client.get(f"{LIST}live?after=0.{'0' * 32}&q=parcel").json()["newer"] == 0
    assert rows_in(text(client, f"{LIST}?q=web-prod")) == 1


def test_an_analyst_downloads_the_raw_bodies(sign_in: SignIn, tenant_a: Tenant) -> None:
    trace = make_trace(tenant_a)
    client = sign_in(tenant_a)

    assert client.get(f"{LIST}{trace.pk}/request.json").json() == trace.request_json
    assert client.get(f"{LIST}{trace.pk}/plan.json").status_code == 404


def test_no_page_of_another_tenant_exists(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    mine = make_trace(tenant_a)
    theirs = make_trace(tenant_b, prompt_line="A secret of B", request_id="req-of-b")
    client = sign_in(tenant_a, Membership.Role.OWNER)

    for tail in ("", "peek", "request.json", "response.json"):
        assert client.get(f"{LIST}{theirs.pk}/{tail}").status_code == 404
        assert client.get(f"{LIST}{mine.pk}/{tail}?tenant={tenant_b.slug}").status_code == 404
    for page in ("", "live", "export.csv"):
        assert client.get(f"{LIST}{page}?tenant={tenant_b.slug}").status_code == 404
        assert client.get(f"{LIST}{page}?tenant=all").status_code == 404
    assert client.get(f"/admin/?tenant={tenant_b.slug}").status_code == 404


def test_no_count_includes_another_tenant(sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant) -> None:
    make_trace(tenant_a)
    for _ in range(5):
        make_trace(tenant_b, prompt_line="A secret of B", api_key="key-of-b", model="model-of-b")
    client = sign_in(tenant_a, Membership.Role.OWNER)

    page = client.get(LIST)
    home = client.get("/admin/")

    assert page.context["outcome_chips"][0].count == 1
    assert home.context["figures"].totals.requests == 1
    assert client.get(f"{LIST}live?after=0.{'0' * 32}").json()["newer"] == 1
    assert text(client, f"{LIST}export.csv").count("\r\n") == 2
    for path in (LIST, f"{LIST}?q=req", "/admin/"):
        assert "of-b" not in text(client, path)
        assert tenant_b.name not in text(client, path)


def test_signed_out_people_are_sent_to_the_login(tenant_a: Tenant) -> None:
    trace = make_trace(tenant_a)

    for path in (LIST, f"{LIST}{trace.pk}/", f"{LIST}live", f"{LIST}export.csv", f"{LIST}{trace.pk}/peek"):
        assert Client().get(path).status_code == 302


def test_nothing_is_written_by_looking(sign_in: SignIn, tenant_a: Tenant) -> None:
    trace = make_trace(tenant_a)

    assert sign_in(tenant_a).post(f"{LIST}{trace.pk}/").status_code == 405
    with tenant_context(tenant_a):
        assert Trace.objects.count() == 1
