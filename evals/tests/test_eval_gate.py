"""`manage.py eval_gate`: its exit status is the verdict, and whatever else goes wrong has another one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django_tenants.utils import tenant_context

from conftest import unique
from evals.models import Comparison, Gate, GateRule, Run
from evals.tests.pairs_of_runs import make_pair, make_run, make_version
from tenants.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_acme(tenant_a: Any) -> Iterator[None]:
    with tenant_context(tenant_a):
        yield


def gated(*arguments: str) -> tuple[int, str]:
    """Exit status and what was printed."""
    out = StringIO()
    with pytest.raises(SystemExit) as exit_of:
        call_command("eval_gate", "--tenant", "acme", *arguments, stdout=out, no_color=True)
    return int(exit_of.value.code or 0), out.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as error:
        call_command("eval_gate", "--tenant", "acme", *arguments)
    assert error.value.returncode == 3
    return str(error.value)


def runs(baseline: Run, candidate: Run) -> list[str]:
    return ["--baseline", str(baseline.pk), "--candidate", str(candidate.pk)]


def latency_gate(bound: float = 5) -> Gate:
    gate = Gate.objects.create(slug=unique("gate"), name="Latency")
    GateRule.objects.create(gate=gate, metric="p50_latency", direction="at_most", measure="change", bound=bound)
    return gate


def test_an_unchanged_policy_passes_and_the_verdict_is_kept() -> None:
    baseline, candidate = make_pair()
    code, said = gated(*runs(baseline, candidate), "--gate", latency_gate().slug)
    assert code == 0 and "Pass. The rule holds." in said
    kept = Comparison.objects.get(candidate=candidate)
    assert kept.verdict == "pass" and kept.table[0]["metric"] == "p50_latency"
    assert f"/admin/evals/compare/{kept.pk}/?tenant=acme" in said


def test_a_slower_candidate_fails_with_files_for_ci(tmp_path: Path) -> None:
    gate, (baseline, candidate) = latency_gate(), make_pair(slower=1.2)
    xml, report = tmp_path / "gate.xml", tmp_path / "gate.json"
    code, said = gated(*runs(baseline, candidate), "--gate", gate.slug, "--junit", str(xml), "--json", str(report))
    assert code == 1 and "Fail. Worse than allowed: Latency p50 +" in said
    (case,) = ElementTree.parse(xml).iter("testcase")
    failure = case.find("failure")
    assert failure is not None and "beyond what is allowed, at most +5%" in failure.attrib["message"]
    read = json.loads(report.read_text())
    assert read["verdict"] == "fail" and read["rules"][0]["low"] > 5 and read["candidate"]["run"] == candidate.pk


def test_the_default_gate_says_what_is_missing() -> None:
    baseline, candidate = make_pair(20)
    code, said = gated(*runs(baseline, candidate), "--json", "-")
    read = json.loads(said)
    assert code == 2 and read["gate"] == "default" and len(read["rules"]) == 7
    assert "20 pairs; this rule needs 100." in {rule["why"] for rule in read["rules"]}


def test_lost_quality_fails_the_default_gate() -> None:
    baseline, candidate = make_pair(worse=40)
    code, said = gated(*runs(baseline, candidate))
    assert code == 1 and "Similarity −" in said


def test_the_newest_candidate_of_a_policy_is_found_with_its_baseline() -> None:
    gate, version, policy = latency_gate(), make_version(30), unique("policy")
    baseline = make_run(version, 1)
    make_run(version, 2, policy=policy, baseline=baseline)
    newest = make_run(version, 3, policy=policy, baseline=baseline, slower=3)
    make_run(version, 4, policy=policy, baseline=baseline, state=Run.State.RUNNING)
    code, said = gated("--policy", policy, "--gate", gate.slug)
    assert code == 1 and f"run {newest.pk}" in said
    assert gated("--candidate", str(newest.pk), "--gate", gate.slug)[0] == 1


def test_runs_that_cannot_be_compared_are_no_verdict(tmp_path: Path) -> None:
    version = make_version(3)
    one, other = make_run(version, 1), make_run(make_version(3, dataset=version.dataset, number=2), 2)
    assert "must be of the same dataset version" in refused(*runs(one, other))
    running = make_run(version, 3, state=Run.State.RUNNING)
    assert "is not finished: running" in refused(*runs(one, running))
    assert "compared with itself" in refused(*runs(one, one))
    empty = make_run(version, 4)
    empty.results.all().delete()
    assert "has only 0 of 3 results" in refused(*runs(one, empty))
    assert "without a baseline" in refused("--candidate", str(one.pk))
    assert "There is no run 999999" in refused("--candidate", "999999")
    assert "There is no run 999999" in refused("--candidate", str(one.pk), "--baseline", "999999")
    assert "Give --candidate" in refused()
    assert "no finished candidate" in refused("--policy", "nobody")
    assert "There are: default" in refused("--candidate", str(one.pk), "--gate", "nothing")
    assert "no tenant 'nobody'" in refused("--tenant", "nobody")
    pair = runs(*make_pair(12))
    assert "No such file" in refused(*pair, "--junit", str(tmp_path / "none" / "gate.xml"))


def test_another_tenants_runs_are_not_there(tenant_b: Any) -> None:
    baseline, candidate = make_pair(12)
    with tenant_context(tenant_b):
        assert "There is no run" in refused("--tenant", "globex", *runs(baseline, candidate))


def test_wrong_arguments_are_no_verdict() -> None:
    command = [sys.executable, "manage.py", "eval_gate", "--candidate", "newest"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3 and "invalid int value" in done.stderr


def test_an_edited_gate_is_in_the_audit_log(tenant_a: Any) -> None:
    gate = latency_gate()
    gate.rules.update(bound=50)
    entry = AuditEntry.objects.filter(object="evals_gaterule", action="changed").latest("id")
    assert entry.name == f"{gate.slug}: p50_latency" and entry.tenant == "acme" and entry.changes == {"bound": [5, 50]}
