"""Reports of comparisons in the console: verdict, figures, answers side by side; who sees what; the file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django_tenants.utils import tenant_context

from conftest import SignIn, unique
from evals.gating import ask, keep
from evals.models import Comparison, Gate, GateRule, Run
from evals.tests.pairs_of_runs import make_pair, make_run, make_version

pytestmark = pytest.mark.django_db
COMPARE = "/admin/evals/compare/"


@pytest.fixture(autouse=True)
def in_acme(tenant_a: Any) -> Iterator[None]:
    with tenant_context(tenant_a):
        yield


def quick_gate() -> Gate:
    gate = Gate.objects.create(slug=unique("gate"), name="Costs")
    GateRule.objects.create(gate=gate, metric="cost", direction="at_most", measure="change", bound=5)
    GateRule.objects.create(gate=gate, metric="score:similarity", direction="at_least", measure="change", bound=-3)
    return gate


def address(baseline: Run, candidate: Run, gate: Gate | None = None) -> str:
    chosen = f"&gate={gate.slug}" if gate else ""
    return f"{COMPARE}?baseline={baseline.pk}&candidate={candidate.pk}{chosen}"


def test_a_report_begins_with_the_verdict_and_shows_the_worst_answers_first(sign_in: SignIn) -> None:
    baseline, candidate = make_pair(40, worse=8)
    traces = [run.results.order_by("item__row")[0].trace_id for run in (baseline, candidate)]
    page = sign_in("analyst").get(address(baseline, candidate, quick_gate())).content.decode()
    assert "Fail. Worse than allowed: Similarity −" in page
    assert page.count("<article") == 20 and page.count("<mark>Nobody knows</mark>") == 8
    cases = page.split("<article")[1:]
    assert all("Nobody knows" in case and "similarity 1 → 0.2" in case for case in cases[:8])
    assert "Question 1: where is my &lt;order&gt;?" in page and "<b>early</b>" not in page
    assert "billing" in page and "shipping" in page
    for trace in traces:
        assert f'href="/admin/traces/{trace}/?tenant=acme"' in page
    assert "<article" in sign_in("analyst").get(address(baseline, candidate) + "&page=2").content.decode()


def test_a_viewer_sees_figures_but_no_answer(sign_in: SignIn) -> None:
    baseline, candidate = make_pair(20, worse=4)
    for path in (address(baseline, candidate), address(baseline, candidate).replace("?", "report.html?", 1)):
        page = sign_in("viewer").get(path).content.decode()
        assert "Latency p50" in page and "billing" in page
        assert "Nobody knows" not in page and "where is my" not in page and "early" not in page


def test_another_tenants_runs_and_verdicts_are_not_found(sign_in: SignIn, tenant_b: Any) -> None:
    baseline, candidate = make_pair(12)
    kept = keep(ask(quick_gate(), baseline, candidate), baseline, candidate, by="ada")
    stranger = sign_in("owner", tenant_b)
    for path in (
        address(baseline, candidate),
        f"{COMPARE}{kept.pk}/",
        f"{COMPARE}report.html?comparison={kept.pk}",
        address(baseline, candidate).replace("?", "report.html?", 1),
        f"/admin/evals/comparison/{kept.pk}/change/",
        f"{COMPARE}{kept.pk}/?tenant=acme",
    ):
        assert stranger.get(path).status_code == 404, path
    with tenant_context(tenant_b):
        assert stranger.post(f"{COMPARE}keep", {"baseline": baseline.pk, "candidate": candidate.pk}).status_code == 404
    assert candidate.name not in stranger.get("/admin/evals/comparison/").content.decode()


@pytest.mark.parametrize(
    "query", ["baseline=x&candidate=1", "baseline=99999999999999999999&candidate=1", "candidate=0"]
)
def test_runs_that_are_not_there(sign_in: SignIn, query: str) -> None:
    assert sign_in("viewer").get(f"{COMPARE}?{query}").status_code == 404
    assert sign_in("viewer").get(f"{COMPARE}report.html?{query}").status_code == 404
    assert sign_in("viewer").get(f"{COMPARE}report.html?comparison=x").status_code == 404


def test_what_cannot_be_compared_is_explained(sign_in: SignIn) -> None:
    one, other = make_run(make_version(2), 1), make_run(make_version(2), 2)
    page = sign_in("viewer").get(address(one, other))
    assert page.status_code == 409 and "same dataset version" in page.content.decode()
    assert sign_in("viewer").get(address(one, other).replace("?", "report.html?", 1)).status_code == 404
    data = {"baseline": one.pk, "candidate": other.pk, "gate": "default"}
    assert sign_in("editor").post(f"{COMPARE}keep", data).status_code == 404


def test_an_editor_keeps_a_verdict_which_stays_when_the_gate_changes(sign_in: SignIn, tenant_a: Any) -> None:
    gate, (baseline, candidate) = quick_gate(), make_pair(30)
    data = {"baseline": baseline.pk, "candidate": candidate.pk, "gate": gate.slug}
    assert sign_in("analyst").post(f"{COMPARE}keep", data).status_code == 404
    editor = sign_in("editor")
    assert "Keep this verdict" in editor.get(address(baseline, candidate, gate)).content.decode()
    kept_at = editor.post(f"{COMPARE}keep", data)["Location"]
    connection.set_tenant(tenant_a)  # type: ignore[attr-defined]  # a page leaves the schema that it was given
    gate.rules.all().delete()
    page = editor.get(kept_at).content.decode()
    assert "Pass. All 2 rules hold." in page and "Keep this verdict" not in page
    assert "the gate has no rules" in editor.get(address(baseline, candidate, gate)).content.decode()
    connection.set_tenant(tenant_a)  # type: ignore[attr-defined]
    row = Comparison.objects.get(candidate=candidate)
    rows = editor.get("/admin/evals/comparison/").content.decode()
    assert candidate.name in rows and "Pass. All 2 rules hold." in rows
    assert editor.get(f"/admin/evals/comparison/{row.pk}/change/")["Location"].startswith(f"{COMPARE}{row.pk}/")
    assert editor.get("/admin/evals/comparison/nonsense/change/").status_code == 404
    assert editor.get(COMPARE)["Location"].startswith("/admin/evals/comparison/")


def test_the_file_needs_nothing_from_outside(sign_in: SignIn) -> None:
    baseline, candidate = make_pair(30, worse=5)
    answer = sign_in("analyst").get(address(baseline, candidate).replace("?", "report.html?", 1))
    page = answer.content.decode()
    assert "attachment" in answer["Content-Disposition"] and "Nobody knows" in page
    assert not re.findall(r"<(?:script|link|img|iframe)|\bsrc=|url\(|@import", page)


@pytest.mark.parametrize("page", ["change", "delete", "history"])
def test_without_a_tenant_no_page_of_a_gate_opens(sign_in: SignIn, page: str) -> None:
    assert sign_in(None).get(f"/admin/evals/gate/1/{page}/?tenant=all").status_code == 404


def test_an_admin_edits_gates_and_mistakes_are_refused(sign_in: SignIn, tenant_a: Any) -> None:
    gate = quick_gate()
    page = f"/admin/evals/gate/{gate.pk}/change/"
    form = {"name": "Costs", "slug": gate.slug, "confidence": "0.9", "rules-INITIAL_FORMS": "0"}

    def saved(who: Any, **rule: str) -> Any:
        fields = {"metric": "p95_latency", "measure": "change", "direction": "at_most", "bound": "20"}
        named = {f"rules-0-{name}": value for name, value in {**fields, "min_pairs": "50", **rule}.items()}
        return who.post(page, {**form, "rules-TOTAL_FORMS": "1", **named})

    def bounds() -> set[float]:
        with tenant_context(tenant_a):
            return set(gate.rules.values_list("bound", flat=True))

    admin = sign_in("admin")
    assert "There is no metric “speed”" in saved(admin, metric="speed").content.decode()
    assert "Must lie between -100 and 1,000 percent" in saved(admin, bound="5000").content.decode()
    assert saved(admin, bound="nan").status_code == 200
    assert "is better when lower" in saved(admin, direction="at_least").content.decode()
    assert "greater than or equal to 2" in saved(admin, min_pairs="1").content.decode()
    assert saved(sign_in("editor")).status_code == 403 and bounds() == {5, -3}
    assert saved(admin).status_code == 302 and bounds() == {5, -3, 20}
    listed = sign_in("viewer").get("/admin/evals/gate/").content.decode()
    assert "Latency p95 at most +20%" in listed and "90%" in listed and "Default" in listed
    assert "Gates" in listed and "Comparisons" in listed


def test_without_a_tenant_there_is_no_gate(sign_in: SignIn) -> None:
    staff = sign_in(None)
    assert staff.get("/admin/evals/gate/?tenant=all").status_code == 403
    assert staff.get(f"{COMPARE}?tenant=all&baseline=1&candidate=2").status_code == 404
    assert staff.get("/admin/evals/gate/?tenant=acme").status_code == 200


@pytest.fixture
def offline_page(chromium: str) -> Iterator[Any]:
    """A browser without a network; what a page asks for from outside is noted."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_context(offline=True, viewport={"width": 400, "height": 800}).new_page()
        browser.close()


def test_the_file_opens_alone(sign_in: SignIn, tmp_path: Path, request: Any) -> None:
    baseline, candidate = make_pair(30, worse=5)
    answer = sign_in("analyst").get(address(baseline, candidate, quick_gate()).replace("?", "report.html?", 1))
    report = tmp_path / "report.html"
    report.write_bytes(answer.content)
    page = request.getfixturevalue("offline_page")  # after the rows: its event loop forbids queries
    wanted: list[str] = []
    page.on("request", lambda request: wanted.append(request.url))
    page.goto(report.as_uri())
    assert page.get_by_text("Fail. Worse than allowed: Similarity").is_visible()
    assert page.locator("svg").count() >= 5 and page.get_by_text("Nobody knows").count() == 5
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert wanted == [report.as_uri()]
