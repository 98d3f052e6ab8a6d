from django.db import migrations

from tenants.audit_sql import audit_changes_of

ROUTE = "SELECT {} FROM public.routing_route WHERE id = ($1->>'route_id')::bigint"


class Migration(migrations.Migration):
    dependencies = [
        ("relay_project", "0002_audit_canaries"),
        ("routing", "0010_shadow"),
    ]
    operations = [
        audit_changes_of(
            "routing_shadow",
            tenant=ROUTE.format("tenant_id"),
            name=f"concat($1->>'name', ' beside ', ({ROUTE.format('name')}))",
        ),
    ]
