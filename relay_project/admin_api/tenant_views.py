"""The admin API on tenants and their keys."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from relay_project.admin_api.base import AdminView, not_found, page, read, tenant_of
from relay_project.admin_api.docs import PAGE, TENANT, listed, said
from relay_project.admin_api.serializers import KeyIn, KeyOut, NewKeyOut, TenantChange, TenantIn, TenantOut
from tenants import services
from tenants.models import ApiKey, Tenant


class Tenants(AdminView):
    @extend_schema(**said("List tenants, by slug", listed(TenantOut), *PAGE, operation_id="admin_list_tenants"))
    def get(self, request: Request) -> Response:
        return page(request, Tenant.objects.exclude(schema_name="public"), TenantOut, by="slug")

    @extend_schema(**said("Create a tenant with its schema", TenantOut, status=201, request=TenantIn))
    def post(self, request: Request) -> Response:
        return Response(TenantOut(services.create_tenant(**read(TenantIn, request))).data, status=201)


class OneTenant(AdminView):
    @extend_schema(**said("One tenant", TenantOut))
    def get(self, request: Request, slug: str) -> Response:
        return Response(TenantOut(self._found(slug)).data)

    @extend_schema(**said("Change a tenant, everywhere within a second", TenantOut, request=TenantChange(partial=True)))
    def patch(self, request: Request, slug: str) -> Response:
        tenant = self._found(slug)
        for name, value in read(TenantChange, request, partial=True).items():
            setattr(tenant, name, value)
        tenant.full_clean()
        tenant.save()
        return Response(TenantOut(tenant).data)

    @staticmethod
    def _found(slug: str) -> Tenant:
        tenant: Tenant | None = Tenant.objects.exclude(schema_name="public").filter(slug=slug).first()
        if tenant is None:
            raise not_found("tenant", slug)
        return tenant


class Keys(AdminView):
    @extend_schema(**said("List API keys; none of them is shown", listed(KeyOut), TENANT, *PAGE))
    def get(self, request: Request) -> Response:
        rows = ApiKey.objects.select_related("tenant")
        if slug := request.query_params.get("tenant"):
            rows = rows.filter(tenant=tenant_of(slug))
        return page(request, rows, KeyOut, by="key_id")

    @extend_schema(**said("Create an API key; it is shown this once", NewKeyOut, status=201, request=KeyIn))
    def post(self, request: Request) -> Response:
        given = read(KeyIn, request)
        given["tenant"] = tenant_of(given["tenant"])
        row, text = services.create_api_key(**given, created_by="admin token")
        return Response({**KeyOut(row).data, "key": text}, status=201, headers={"Cache-Control": "no-store"})


class RevokeKey(AdminView):
    @extend_schema(**said("Revoke an API key: dead everywhere within a second", KeyOut, request=None))
    def post(self, request: Request, key_id: str) -> Response:
        row = ApiKey.objects.select_related("tenant").filter(key_id=key_id).first()
        if row is None:
            raise not_found("API key", key_id)
        services.revoke_api_key(key=row)
        row.refresh_from_db()
        return Response(KeyOut(row).data)
