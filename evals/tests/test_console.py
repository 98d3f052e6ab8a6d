"""The pages of evals as each role sees them, and as nobody of another tenant does."""

import io
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import SignIn, unique
from evals import runs
from evals.core.rows import MOST_BYTES
from evals.models import Dataset, DatasetVersion, Result, Run
from evals.questions import Answer, Question
from evals.tests.rows import again, make_run, make_version
from routing.models import Deployment, Provider, Route
from routing.services import import_policy, save_route
from routing.tests.stage import NO_CACHE
from tenants.models import Membership, Tenant
from tenants.services import create_tenant
from traces.tests.rows import make_trace

pytestmark = pytest.mark.django_db
Role = Membership.Role
RUNS, DATASETS, NEW = "/admin/evals/runs/", "/admin/evals/datasets/", "/admin/evals/datasets/new"


@pytest.fixture
def model(tenant_a: Tenant) -> str:
    """A route of the tenant, which nobody asks here, with a policy of its name."""
    name = unique("model")
    import_policy(tenant=tenant_a, slug=name, text=NO_CACHE, activated=True)
    provider = Provider.objects.create(slug=name, name="Nobody", base_url="http://127.0.0.1:9", allow_private=True)
    deployment = Deployment.objects.create(slug=name, model=name, provider=provider)
    route = Route(tenant=tenant_a, name=name, policy=tenant_a.policies.get(slug=name))
    save_route(route, candidates=[(deployment, None)])
    return name


@pytest.fixture
def run(tenant_a: Tenant, model: str) -> Iterator[Run]:
    """Done: row 1 answered well, row 2 not at all."""
    version = make_version(tenant_a, "What is secret plan A?", "What is secret plan B?", reference="the reference")
    made = make_run(tenant_a, version, model, scorers=[{"name": "exact"}])
    with tenant_context(tenant_a):
        runs.claim(made.pk, "me")
        first, second = version.items.values_list("pk", flat=True)
        good = Answer("ok", text="the answer", latency_ms=120.0, ttft_ms=30.0, tokens_in=4, tokens_out=2, cache="miss")
        bad = Answer("failed", error="502: no", latency_ms=7.0)
        runs.keep(made, [(Question(first, 1, {}), good), (Question(second, 1, {}), bad)])
        Result.objects.filter(item=first).update(scores={"exact": 1.0}, remarks={"exact": "It is the reference."})
        runs.finish(made.pk, "me")
    yield again(tenant_a, made)


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return answer.content.decode()


def test_a_run_tells_its_figures_to_viewers_and_its_words_to_analysts(sign_in: SignIn, run: Run) -> None:
    page = text(sign_in(Role.ANALYST), f"{RUNS}{run.pk}/")
    assert "Latency p95" in page and "120 ms" in page and "50.0%" in page
    assert page.index("secret plan B") < page.index("secret plan A"), "the worst first"
    for words in ("the answer", "the reference", "502: no", "It is the reference."):
        assert words in page
    viewer = text(sign_in(Role.VIEWER), f"{RUNS}{run.pk}/")
    assert "Latency p95" in viewer and "50.0%" in viewer
    for words in ("secret plan", "the answer", "the reference", "502: no", "It is the reference."):
        assert words not in viewer


@pytest.mark.parametrize("order", ["slow", "dear", "row", "nonsense"])
def test_results_are_shown_in_any_order(sign_in: SignIn, run: Run, order: str) -> None:
    page = text(sign_in(Role.ANALYST), f"{RUNS}{run.pk}/?order={order}")
    wanted = page.index("secret plan A") < page.index("secret plan B")
    assert wanted == (order != "nonsense"), "row 1 is the slower one; equal costs stay in the order of rows"


def test_a_candidate_stands_beside_its_baseline(sign_in: SignIn, tenant_a: Tenant, run: Run) -> None:
    candidate = make_run(tenant_a, run.version, run.route, baseline=run)
    with tenant_context(tenant_a):
        runs.claim(candidate.pk, "me")
        items = run.version.items.values_list("pk", flat=True)
        answer = Answer("ok", text="x", latency_ms=99.0, tokens_out=1)
        runs.keep(candidate, [(Question(item, 1, {}), answer) for item in items])
    page = text(sign_in(Role.VIEWER), f"{RUNS}{candidate.pk}/")
    assert '<th class="relay-right">Baseline</th>' in page and "120 ms" in page and "99 ms" in page
    assert f"run {run.pk}" in text(sign_in(Role.VIEWER), RUNS)


def test_another_tenants_runs_and_sets_are_not_there(
    sign_in: SignIn, tenant_a: Tenant, tenant_b: Tenant, run: Run
) -> None:
    slug = run.version.dataset.slug
    paths = [f"{RUNS}{run.pk}/", f"{DATASETS}{slug}/", f"{DATASETS}{slug}/1.jsonl"]
    owner = sign_in(Role.OWNER, tenant_b)
    for path in paths:
        assert owner.get(path).status_code == 404
        assert owner.get(f"{path}?tenant={tenant_a.slug}").status_code == 404
    assert owner.post(f"{RUNS}{run.pk}/cancel").status_code == 404
    assert run.name not in text(owner, RUNS) and slug not in text(owner, DATASETS)
    assert owner.get(f"{RUNS}live?runs={run.pk}").json() == {}
    assert slug not in text(owner, "/admin/evals/runs/new")


def test_progress_is_told_while_it_lasts_and_editors_cancel(sign_in: SignIn, tenant_a: Tenant, model: str) -> None:
    made = make_run(tenant_a, make_version(tenant_a), model)
    editor = sign_in(Role.EDITOR)
    assert f"runs={made.pk}" in text(editor, f"{RUNS}{made.pk}/")
    told = editor.get(f"{RUNS}live?runs={made.pk},x,999999999999").json()
    assert told[str(made.pk)]["left"] == "waits for a worker" and told[str(made.pk)]["done"] == "0 of 3"
    with tenant_context(tenant_a):
        runs.claim(made.pk, "me")
        item = made.version.items.values_list("pk", flat=True)[0]
        runs.keep(made, [(Question(item, 1, {}), Answer("ok", text="x"))])
        Run.objects.filter(pk=made.pk).update(started_at=timezone.now() - timedelta(seconds=10))
        runs.beat(made.pk, "me")
    told = editor.get(f"{RUNS}live?runs={made.pk}").json()[str(made.pk)]
    assert (told["open"], told["percent"], told["left"][:6]) == (True, 33.3, "about ")
    assert sign_in(Role.ANALYST).post(f"{RUNS}{made.pk}/cancel").status_code == 404
    editor.post(f"{RUNS}{made.pk}/cancel")
    assert again(tenant_a, made).state == Run.State.CANCELLED
    assert "over already" in editor.post(f"{RUNS}{made.pk}/cancel", follow=True).content.decode()


def test_an_editor_starts_a_run_as_an_earlier_one(sign_in: SignIn, tenant_a: Tenant, run: Run) -> None:
    editor = sign_in(Role.EDITOR)
    page = text(editor, f"{RUNS}new?from={run.pk}")
    assert f'<option value="{run.pk}" selected>' in page and 'value="exact"' in page
    wanted = {
        "version": run.version_id,
        "route": run.route,
        "policy": f"{run.policy}@1",
        "repetitions": 2,
        "concurrency": 4,
        "cache": "own",
        "scorers": "exact, numeric:tolerance=0.5",
        "baseline": run.pk,
    }
    answer = editor.post(f"{RUNS}new", wanted)
    assert answer.status_code == 302
    with tenant_context(tenant_a):
        made = Run.objects.first()
    assert made is not None and f"{RUNS}{made.pk}/" in answer["location"]
    assert (made.expected, made.baseline_id, made.scorers[1]["tolerance"]) == (4, run.pk, 0.5)
    refused = editor.post(f"{RUNS}new", {**wanted, "scorers": "magic"}).content.decode()
    assert "magic" in refused and 'role="alert"' in refused
    assert sign_in(Role.ANALYST).post(f"{RUNS}new", wanted).status_code == 404


def test_a_file_becomes_a_version_once(sign_in: SignIn, tenant_a: Tenant) -> None:
    editor, name = sign_in(Role.EDITOR), unique("upload")

    def upload(raw: str, ending: str = "jsonl") -> str:
        file = io.BytesIO(raw.encode())
        file.name = f"questions.{ending}"
        answer = editor.post(NEW, {"action": "upload", "upload-name": name, "upload-file": file}, follow=True)
        return str(answer.content.decode())

    two = '{"prompt": "a", "reference": "1"}\n{"prompt": "b"}'
    assert "1 rows have no reference (row 2 is the first)" in upload(two)
    assert "same content was there already" in upload(two)
    assert "v2, 1 rows" in upload("prompt,category\nc,x\n", "csv")
    bad = upload('{"prompt": "<b>"}\n{"prompt": 7}\n{}')
    assert "2 problems" in bad and "Row 2: “prompt” must be text." in bad and "Row 3: no prompt." in bad
    with tenant_context(tenant_a):
        stored = list(DatasetVersion.objects.filter(dataset__slug=name).values_list("number", "size", "origin"))
    assert stored == [(2, 1, "questions.csv"), (1, 2, "questions.jsonl")]
    page = text(editor, f"{DATASETS}{name}/?version=1")
    assert "questions.jsonl" in page and editor.get(f"{DATASETS}{name}/?version=9").status_code == 404
    kept = editor.get(f"{DATASETS}{name}/1.jsonl").content.decode()
    assert "same content" not in kept and kept.count("\n") == 2
    viewer = sign_in(Role.VIEWER)
    assert viewer.get(f"{DATASETS}{name}/1.jsonl").status_code == 404
    assert "does not show prompts" in text(viewer, f"{DATASETS}{name}/")
    assert viewer.get(NEW).status_code == 404


def test_a_file_that_is_too_large_is_refused(sign_in: SignIn) -> None:
    file = io.BytesIO(b"x" * (MOST_BYTES + 1))
    file.name = "large.jsonl"
    fields = {"action": "upload", "upload-name": unique("large"), "upload-file": file}
    assert "larger than 32 MB" in sign_in(Role.EDITOR).post(NEW, fields).content.decode()


def test_traces_are_mined_once_each_and_redacted(sign_in: SignIn, tenant_a: Tenant) -> None:
    editor, name, route = sign_in(Role.EDITOR), unique("mined"), unique("route")
    for said in ("I am ada@example.com", "I am ada@example.com", "Call +49 30 1234567 now"):
        asked = {"model": route, "stream": True, "user": "u-1", "messages": [{"role": "user", "content": said}]}
        make_trace(tenant_a, route=route, request_json=asked, task="chat")
    for asker in ("eval run 7", "judge of canary 7"):
        make_trace(tenant_a, route=route, api_key=asker, request_json={"messages": [{"role": "user", "content": "no"}]})
    make_trace(tenant_a, route=route, outcome="rejected", request_json={"messages": []})
    make_trace(tenant_a, route=route, request_json=None)
    fields = {"action": "mine", "mine-name": name, "mine-days": 1, "mine-route": route, "mine-most": 10}
    page = editor.post(NEW, fields, follow=True).content.decode()
    assert "Taken out: 2 e-mail addresses" not in page and "Taken out: 1 e-mail addresses, 1 phone numbers." in page
    with tenant_context(tenant_a):
        items = list(Dataset.objects.get(slug=name).versions.get().items.all())
    assert sorted(item.body["messages"][0]["content"] for item in items) == ["Call [phone] now", "I am [e-mail]"]
    assert all(set(item.body) == {"messages"} and item.trace_id and item.category == "chat" for item in items)
    nothing = editor.post(NEW, {**fields, "mine-outcome": "failed"}).content.decode()
    assert "No trace with its prompt fits" in nothing


def test_a_bundled_set_is_taken(sign_in: SignIn, tenant_a: Tenant) -> None:
    editor = sign_in(Role.EDITOR)
    page = editor.post(NEW, {"action": "bundled", "bundled-name": "mt-bench"}, follow=True).content.decode()
    assert "80 rows" in page and "writing" in page
    assert editor.post(NEW, {"action": "bundled", "bundled-name": "../secret"}).status_code == 200


def test_staff_choose_the_tenant(sign_in: SignIn, tenant_a: Tenant) -> None:
    staff: Any = sign_in(None)
    for path in (RUNS, DATASETS, NEW, f"{RUNS}new"):
        assert f"?tenant={tenant_a.slug}" in text(staff, f"{path}?tenant=all")
    assert "Eval runs" in text(staff, f"{RUNS}?tenant={tenant_a.slug}")


def test_an_empty_tenant_gets_the_next_step(sign_in: SignIn, committed: None) -> None:
    editor = sign_in(Role.EDITOR, create_tenant(slug=unique("empty")))
    assert "eval_dataset bundled" in text(editor, RUNS) and "eval_dataset import" in text(editor, DATASETS)
    assert "A run needs prompts" in text(editor, f"{RUNS}new")
