"""What would a policy do with this request? The same planner as the hot path, from rows, without calling anybody."""

from datetime import UTC, datetime
from typing import Any

import orjson
from django.conf import settings

from routing.candidates import candidate_of
from routing.core.defaulting import with_default
from routing.core.features import Features, estimate_tokens
from routing.core.plan import ActivePolicy, Candidate, Surroundings, make_plan
from routing.core.policy import PolicyDocument
from routing.core.request import InvalidRequest
from routing.core.split import draw_of
from routing.core.tasks import task_of
from routing.credentials import stored_credentials
from routing.default_policy import default_settings
from routing.models import Route
from routing.planning import minutes_of_day
from tenants.models import Tenant


def try_policy(
    *,
    document: PolicyDocument,
    version: int,
    tenant: Tenant | None,
    slug: str,
    model: str,
    prompt: str,
    max_tokens: int | None,
    key: str,
    metadata: dict[str, str],
) -> dict[str, Any]:
    """plan_json with ``reasons``; {"error": sentence} if the request would be refused. Health counts as good."""
    zones = tuple(sorted({"UTC"} | {rule.when.hours.timezone for rule in document.rules if rule.when.hours}))
    now = datetime.now(UTC).timestamp()
    task = task_of(metadata, {"messages": [{"role": "user", "content": prompt}]})
    features = Features(
        model, key, estimate_tokens(prompt) + 4, max_tokens, metadata, task=task.name, task_why=task.why
    )
    candidates = _candidates(tenant, model)
    if candidates is None:
        return {"error": f"There is no route named “{model}”."}
    default = default_settings()
    document = with_default(document, default) if default else document
    try:
        plan = make_plan(
            ActivePolicy(slug, version, document),
            features,
            {},
            candidates,
            {},
            Surroundings(now, minutes_of_day(int(now // 60), zones), settings.RELAY_ENV, draw_of(prompt)),
        )
    except InvalidRequest as error:
        return {"error": str(error)}
    result: dict[str, Any] = orjson.loads(orjson.dumps(plan.as_json()))
    result["reasons"] = plan.decision_trace()
    return result


def _candidates(tenant: Tenant | None, model: str) -> list[Candidate] | None:
    """Of the tenant's own route of that name, else the platform's."""
    routes = Route.objects.filter(name=model, enabled=True)
    route = (routes.filter(tenant=tenant).first() if tenant else None) or routes.filter(tenant=None).first()
    if route is None:
        return None
    stored = stored_credentials()
    steps = (route.alias_of or route).steps.select_related("deployment__provider")
    return [
        candidate_of(step.deployment, step.share, tenant_id=tenant.pk if tenant else None, stored=stored)
        for step in steps
    ]
