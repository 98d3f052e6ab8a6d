"""What a new tenant does first, ticked from the rows that show it was done; shown until the first own request."""

from dataclasses import dataclass

from django.db.models import Q
from django_tenants.utils import tenant_context

from evals.models import Run
from routing.models import PolicyVersion, Route
from tenants.models import ApiKey, Tenant


@dataclass(frozen=True, slots=True)
class Step:
    label: str
    hint: str
    done: bool


def checklist(tenant: Tenant) -> list[Step]:
    usable = Q(tenant=tenant) | Q(tenant=None)
    route = (
        Route.objects.filter(
            usable, enabled=True, steps__deployment__enabled=True, steps__deployment__provider__enabled=True
        )
        .order_by("-tenant_id", "path", "name")
        .first()
    )
    key = ApiKey.objects.filter(tenant=tenant, revoked_at=None).exists()
    edited = PolicyVersion.objects.filter(policy__tenant=tenant).exclude(author="").exists()
    with tenant_context(tenant):
        evaluated = Run.objects.filter(state=Run.State.DONE).exists()
    model = route.name if route else "the route's name"
    return [
        Step(
            "A model is ready",
            f"Clients send “{model}” as the model." if route else "Ask staff to enable a provider.",
            bool(route),
        ),
        Step("An API key exists", "Make one under API keys; it is shown once.", key),
        Step("The first request", "Send one with the key; it appears under Traces within seconds.", done=False),
        Step("The policy is yours", "Open Policies, change a rule and activate it.", edited),
        Step("An eval run", "Open Eval runs and ask a data set with your policy.", evaluated),
    ]
