"""What evals hold of an end user's words goes with the traces that they came from; an export has it all."""

import asyncio
import json
import random
from datetime import timedelta

import pytest
from django.utils import timezone
from django_tenants.utils import tenant_context

from conftest import unique
from evals import runs
from evals.datasets import add_version
from evals.mining import Wish, mine
from evals.models import DatasetVersion, Run
from evals.questions import Answer, Question
from relay_project.erase import Content, erase_content
from relay_project.export import export_lines
from tenants.models import Tenant
from tenants.services import create_tenant
from traces.tests.rows import make_trace

pytestmark = pytest.mark.usefixtures("committed")


@pytest.fixture(scope="module")
def tenant(committed: None) -> Tenant:
    return create_tenant(slug=unique("leaving"))


def exported(tenant: Tenant) -> list[dict[str, object]]:
    async def whole() -> str:
        return "".join([piece.decode() async for piece in export_lines(tenant)])

    return [json.loads(line) for line in asyncio.run(whole()).splitlines()]


def test_mined_words_go_with_the_traces_that_they_came_from(tenant: Tenant) -> None:
    for user, said in (("mallory", "my words"), ("trent", "other words")):
        asked = {"user": user, "messages": [{"role": "user", "content": said}]}
        make_trace(tenant, request_json=asked)
    with tenant_context(tenant):
        mined = mine(Wish(timezone.now() - timedelta(days=1)), random.Random(1))
        version, _ = add_version(slug="mined", rows=mined.rows, source=DatasetVersion.Source.TRACES)
        run = Run.objects.create(name="r", version=version, route="m", policy="p", policy_version=1, expected=2)
        for item in version.items.all():
            said = f"answer to {item.body['messages'][0]['content']}"
            runs.keep(run, [(Question(item.pk, 1, {}), Answer("ok", text=said))])
    kinds = {str(line["kind"]) for line in exported(tenant)}
    assert {"dataset", "dataset_version", "dataset_item", "eval_run", "eval_result"} <= kinds
    erase_content(tenant=tenant, content=Content(user="mallory"))
    left = json.dumps(exported(tenant))
    assert "my words" not in left and "other words" in left
