"""Gates over real runs: the unchanged policy, asked again and again, never fails; a 10 % slower provider does."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django_tenants.utils import tenant_context

from conftest import Shells, unique
from evals.executing import execute
from evals.gating import Verdict, ask
from evals.models import DatasetVersion, Gate, Run
from evals.tests.rows import again, make_run, make_version
from routing.models import Provider
from routing.tests.stage import Stage
from routing.tests.upstream import FakeProvider, says

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
PROMPTS, RERUNS = 120, 20


@pytest.fixture(scope="module")
def stage(shells: Shells, workers: None, tenant_a: Any) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


def mock_route(stage: Stage, slower: float) -> str:
    """To a mock whose latency varies by 6 % (sigma)."""
    mock = Provider.objects.create(slug=unique("mock"), name="Mock", kind=Provider.Kind.MOCK)
    options = {"mean_ms": 200 * slower, "p95_ms": 220 * slower}
    return stage.route(says("unused"), provider=mock, options=options)


def carried(stage: Stage, version: DatasetVersion, model: str) -> Run:
    run = make_run(stage.tenant, version, model, concurrency=4)
    assert execute(stage.tenant, run.pk, url=stage.shells.express)
    return again(stage.tenant, run)


def verdict(stage: Stage, baseline: Run, candidate: Run) -> Verdict:
    with tenant_context(stage.tenant):
        return ask(Gate.objects.get(slug="default"), baseline, candidate)


def test_only_the_slower_provider_fails(stage: Stage) -> None:
    version = make_version(stage.tenant, *(f"question {number}" for number in range(PROMPTS)))
    model, slower = mock_route(stage, 1.0), mock_route(stage, 1.1)
    baseline = carried(stage, version, model)
    said = [verdict(stage, baseline, carried(stage, version, model)) for _ in range(RERUNS)]
    assert not [one.sentence for one in said if one.verdict == "fail"]
    planted = verdict(stage, baseline, carried(stage, version, slower))
    assert planted.verdict == "fail" and "Latency p50 +" in planted.sentence
