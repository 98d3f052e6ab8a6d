"""The admin API on the platform as a whole: its state, its default policy, the audit log."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from relay_project import overview
from relay_project.admin_api.base import AdminView, page, read, tenant_of
from relay_project.admin_api.docs import OBJECT, PAGE, TENANT, listed, said
from relay_project.admin_api.serializers import AuditOut, DefaultPolicy, DefaultPolicyOut
from relay_project.reload import reload_providers
from routing.default_policy import default_policy, default_policy_choices, set_default_policy
from tenants.models import AuditEntry


class Status(AdminView):
    @extend_schema(**said("Build, processes, providers with breakers and burn rates, lanes, the trace writer", OBJECT))
    def get(self, request: Request) -> Response:
        return Response(overview.status())


class Policy(AdminView):
    @extend_schema(**said("The default policy", DefaultPolicyOut))
    def get(self, request: Request) -> Response:
        return self._shown()

    @extend_schema(
        **said("Set the default policy, everywhere within a second", DefaultPolicyOut, request=DefaultPolicy)
    )
    def put(self, request: Request) -> Response:
        set_default_policy(name=read(DefaultPolicy, request)["default_policy"] or "")
        return self._shown()

    @staticmethod
    def _shown() -> Response:
        return Response({"default_policy": default_policy() or None, "choices": default_policy_choices()})


class Reload(AdminView):
    @extend_schema(**said("Read the configuration anew, in every process", OBJECT, request=None))
    def post(self, request: Request) -> Response:
        reload_providers()
        return Response({"status": "reloading", "providers": _problems()})


class Audit(AdminView):
    @extend_schema(**said("The audit log, newest first", listed(AuditOut), TENANT, *PAGE))
    def get(self, request: Request) -> Response:
        rows = AuditEntry.objects.all()
        if slug := request.query_params.get("tenant"):
            rows = rows.filter(tenant_id=tenant_of(slug).pk)
        return page(request, rows, AuditOut, by="id", newest=True)


def _problems() -> list[dict[str, Any]]:
    wanted = ("provider", "enabled", "problem")
    return [{name: one[name] for name in wanted} for one in overview.providers_now({})]
