"""Gates over real runs, through a whole Relay: the unchanged policy, asked again and again, never fails."""

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


@pytest.fixture(scope="module")
def stage(shells: Shells, workers: None, tenant_a: Any) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


def mock_route(stage: Stage) -> str:
    """To a mock whose latency varies by 6 % (sigma)."""
    mock = Provider.objects.create(slug=unique("mock"), name="Mock", kind=Provider.Kind.MOCK)
    options = {"mean_ms": 200, "p95_ms": 220}
    return stage.route(says("unused"), provider=mock, options=options)


def carried(stage: Stage, version: DatasetVersion, model: str) -> Run:
    run = make_run(stage.tenant, version, model, concurrency=4)
    assert execute(stage.tenant, run.pk, url=stage.shells.express)
    return again(stage.tenant, run)


def verdict(stage: Stage, baseline: Run, candidate: Run) -> Verdict:
    with tenant_context(stage.tenant):
        return ask(Gate.objects.get(slug="default"), baseline, candidate)


def questions(stage: Stage, many: int) -> DatasetVersion:
    return make_version(stage.tenant, *(f"question {number}" for number in range(many)))


def test_the_unchanged_policy_never_fails(stage: Stage) -> None:
    version, model = questions(stage, 120), mock_route(stage)
    baseline = carried(stage, version, model)
    said = [verdict(stage, baseline, carried(stage, version, model)) for _ in range(20)]
    assert not [one.sentence for one in said if one.verdict == "fail"]
