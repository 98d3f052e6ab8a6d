"""The commands of evals: each says what it made, or what is wrong and what to do."""

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django_tenants.utils import tenant_context

from conftest import Shells, unique
from evals.models import Run
from routing.models import Policy
from routing.services import save_draft
from routing.tests.stage import BUCKETS, Stage
from routing.tests.upstream import FakeProvider, says
from tenants.models import Tenant
from traces.tests.rows import make_trace

DRAFT = BUCKETS + "defaults: {lane: short, max_tokens: 7, cache: {exact: false}}"


@pytest.fixture(scope="module")
def stage(shells: Shells, workers: None, tenant_a: Any) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


@pytest.fixture(autouse=True)
def relay_is_there(stage: Stage, settings: Any) -> None:
    settings.RELAY_EVAL_URL = stage.shells.express


def command(name: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command(name, *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def refused(name: str, *arguments: str) -> tuple[int, str]:
    with pytest.raises(CommandError) as error:
        command(name, *arguments)
    return error.value.returncode, str(error.value)


@pytest.fixture
def questions(stage: Stage, tmp_path: Path) -> str:
    """A data set of two, by its name."""
    file, name = tmp_path / "questions.csv", unique("questions")
    file.write_text("prompt,reference\none,1\ntwo,2\n")
    told = command("eval_dataset", "import", str(file), "--name", name, "--tenant", stage.tenant.slug)
    assert told == f"{name}@1: 2 rows\n"
    return name


def test_a_baseline_then_a_candidate_that_is_asked_the_same_way(stage: Stage, questions: str) -> None:
    model = stage.route(says("answer"))
    asked = ["--policy", model, "--dataset", questions, "--route", model, "--tenant", stage.tenant.slug, "--here"]
    code, told = refused("eval_candidate", *asked)
    assert code == 2 and "run manage.py eval_baseline first" in told
    told = command("eval_baseline", *asked, "--repetitions", "2", "--scorers", "exact,json_schema")
    assert "Latency p95" in told and "of 0: The row has no schema." in told and "/admin/evals/runs/" in told
    save_draft(policy=Policy.objects.get(slug=model), text=DRAFT, base=1)
    made = json.loads(command("eval_candidate", *asked, "--json"))
    assert (made["state"], made["policy"], made["dataset"]) == ("done", f"{model}@2", f"{questions}@1")
    assert made["metrics"]["error_rate"] == 0 and made["metrics"]["score:exact"] == 0
    with tenant_context(stage.tenant):
        run = Run.objects.get(pk=made["run"])
        assert (run.repetitions, run.baseline_id) == (2, made["baseline"])
        assert run.baseline is not None and run.baseline.policy_version == 1
    named = json.loads(
        command("eval_candidate", *asked, "--version", "1", "--baseline", str(made["baseline"]), "--json")
    )
    assert named["policy"] == f"{model}@1"


def test_a_candidate_with_a_baseline_of_its_own(stage: Stage, questions: str) -> None:
    model = stage.route(says("answer"))
    save_draft(policy=Policy.objects.get(slug=model), text=DRAFT, base=1)
    asked = ["--policy", model, "--dataset", questions, "--route", model, "--tenant", stage.tenant.slug, "--here"]
    told = command("eval_candidate", *asked, "--interleaved", "--repetitions", "2", "--scorers", "exact", "--json")
    made = json.loads(told)
    with tenant_context(stage.tenant):
        runs = Run.objects.filter(policy=model).order_by("policy_version")
        assert [(run.policy_version, run.state, run.results.count()) for run in runs] == [
            (1, "done", 4),
            (2, "done", 4),
        ]
        assert [run.pk for run in runs] == [made["baseline"], made["run"]]
        assert runs[0].scorers == runs[1].scorers == [{"name": "exact"}]
        Run.objects.filter(policy=model).delete()
    code, told = refused("eval_candidate", *asked, "--interleaved", "--scorers", "magic")
    assert code == 2 and "magic" in told
    Policy.objects.filter(slug=model).update(active_version=None)
    code, told = refused("eval_candidate", *asked, "--interleaved")
    assert code == 2 and "No version" in told
    with tenant_context(stage.tenant):
        assert not Run.objects.filter(policy=model).exists(), "a baseline alone is not left behind"


def test_a_baseline_of_another_version_of_the_data_set_is_an_error(
    stage: Stage, questions: str, tmp_path: Path
) -> None:
    model = stage.route(says("answer"))
    asked = ["--policy", model, "--route", model, "--tenant", stage.tenant.slug, "--here"]
    command("eval_baseline", *asked, "--dataset", questions)
    file = tmp_path / "more.jsonl"
    file.write_text('{"prompt": "three"}')
    command("eval_dataset", "import", str(file), "--name", questions, "--tenant", stage.tenant.slug)
    code, told = refused("eval_candidate", *asked, "--dataset", questions)
    assert code == 2 and f"ran on {questions} v1, not on {questions} v2" in told
    assert "Latency" in command("eval_candidate", *asked, "--dataset", f"{questions}@1")


def test_a_run_is_left_to_the_worker(stage: Stage, questions: str) -> None:
    model = stage.route(says("answer"))
    asked = ["--policy", model, "--dataset", questions, "--route", model, "--tenant", stage.tenant.slug]
    made = json.loads(command("eval_baseline", *asked, "--no-wait", "--json"))
    assert (made["state"], made["metrics"]) == ("queued", {})


def test_a_run_that_fails_says_why(stage: Stage, questions: str, settings: Any) -> None:
    settings.RELAY_EVAL_URL = "nowhere://"
    model = stage.route(says("answer"))
    asked = ["--policy", model, "--dataset", questions, "--route", model, "--tenant", stage.tenant.slug, "--here"]
    code, told = refused("eval_baseline", *asked)
    assert code == 1 and "RELAY_EVAL_URL" in told


def test_what_cannot_begin_exits_with_two(stage: Stage, questions: str, tenant_b: Tenant) -> None:
    model = stage.route(says("answer"))
    good = {"--policy": model, "--dataset": questions, "--route": model, "--tenant": stage.tenant.slug}
    wrong = [
        ({"--policy": "none"}, "no policy"),
        ({"--dataset": "none"}, "no data set"),
        ({"--dataset": f"{questions}@9"}, "no data set"),
        ({"--dataset": f"{questions}@x"}, "no data set"),
        ({"--tenant": tenant_b.slug}, "no data set"),
        ({"--tenant": ""}, "must name a tenant"),
        ({"--route": "none"}, "no enabled route"),
        ({"--scorers": "magic"}, "magic"),
        ({"--scorers": "judge:route=nobody"}, "no enabled route “nobody”"),
        ({"--repetitions": "0"}, "greater than or equal to 1"),
        ({"--tenant": "nobody"}, "no tenant"),
        ({"--version": "9"}, "no version 9"),
    ]
    for other, said in wrong:
        arguments = [part for pair in ({**good, **other}).items() for part in pair]
        code, told = refused("eval_baseline", *arguments)
        assert code == 2 and said in told, other
    Policy.objects.filter(slug=model).update(active_version=None)
    code, told = refused("eval_baseline", *(part for pair in good.items() for part in pair))
    assert code == 2 and "No version" in told


def test_data_sets_are_made_and_listed(stage: Stage, tmp_path: Path) -> None:
    tenant, name = ["--tenant", stage.tenant.slug], unique("mined")
    assert "80 rows" in command("eval_dataset", "bundled", "mt-bench", *tenant)
    assert "same content" in command("eval_dataset", "bundled", "mt-bench", *tenant)
    route = unique("route")
    make_trace(stage.tenant, route=route)
    assert command("eval_dataset", "mine", "--name", name, "--route", route, *tenant) == f"{name}@1: 1 rows\n"
    assert f"{name}@1  1 rows  traces since" in command("eval_dataset", "list", *tenant)
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'{"prompt": "a"}\n{}\n\xff')
    code, told = refused("eval_dataset", "import", str(bad), "--name", name, *tenant)
    assert code == 2 and "2 problems" in told and "Row 2: no prompt." in told and "Row 3: not UTF-8" in told
    for arguments, said in (
        (["import", str(tmp_path / "none"), "--name", name], "cannot be read"),
        (["mine", "--name", name, "--since", "soon"], "must look like"),
        (["mine", "--name", name, "--route", "none"], "No trace"),
        (["import", str(bad), "--name", "No Good"], "2 problems"),
    ):
        code, told = refused("eval_dataset", *arguments, *tenant)
        assert code == 2 and said in told
    code, told = refused("eval_dataset", "list", "--tenant", "")
    assert code == 2
