"""Data sets and runs for tests, in the schema of a tenant."""

from typing import Any

from django_tenants.utils import tenant_context

from conftest import unique
from evals import runs
from evals.core.rows import Row
from evals.datasets import add_version
from evals.models import DatasetVersion, Run
from evals.runs import Wanted
from tenants.models import Tenant


def make_version(tenant: Tenant, *prompts: str, **row: Any) -> DatasetVersion:
    with tenant_context(tenant):
        rows = [
            Row(number, {"messages": [{"role": "user", "content": prompt}], **row.get("body", {})}, **_rest(row))
            for number, prompt in enumerate(prompts or ("one", "two", "three"), 1)
        ]
        return add_version(slug=unique("set"), rows=rows, source=DatasetVersion.Source.UPLOAD)[0]


def _rest(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "body"}


def make_run(tenant: Tenant, version: DatasetVersion, model: str, **wanted: Any) -> Run:
    """Of the route's policy, which has its name, as ``Stage.route`` makes them."""
    with tenant_context(tenant):
        return runs.create_run(
            tenant=tenant,
            wanted=Wanted(version, model, wanted.pop("policy", model), wanted.pop("policy_version", 1), **wanted),
        )


def again(tenant: Tenant, run: Run) -> Run:
    with tenant_context(tenant):
        return Run.objects.get(pk=run.pk)
