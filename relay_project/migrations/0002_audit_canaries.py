from django.db import migrations

from tenants.audit_sql import audit_changes_of

ROUTE = "SELECT {} FROM public.routing_route WHERE id = ($1->>'route_id')::bigint"


class Migration(migrations.Migration):
    dependencies = [
        ("relay_project", "0001_audit"),
        ("routing", "0008_canary"),
    ]
    operations = [
        audit_changes_of(
            "routing_canary",
            tenant=ROUTE.format("tenant_id"),
            name=f"concat($1->>'name', ' on ', ({ROUTE.format('name')}))",
        ),
    ]
