from django.db import migrations

from tenants.audit_sql import PLATFORM, audit_changes_of

POLICY = "SELECT {} FROM public.routing_policy WHERE id = ($1->>'policy_id')::bigint"
ROUTE = "SELECT {} FROM public.routing_route WHERE id = ($1->>'route_id')::bigint"
DEPLOYMENT = "SELECT slug FROM public.routing_deployment WHERE id = ($1->>'deployment_id')::bigint"
PROVIDER = "SELECT slug FROM public.routing_provider WHERE id = ($1->>'provider_id')::bigint"
USER = "SELECT username FROM public.tenants_user WHERE id = ($1->>'user_id')::bigint"
LIMIT = "concat($1->>'limit', ' ', $1->>'metric', ' a ', $1->>'window')"
SLUG = "$1->>'slug'"


class Migration(migrations.Migration):
    """Which tables are in the audit log, and how their rows are called there."""

    dependencies = [
        ("tenants", "0004_audit"),
        ("routing", "0006_prices"),
        ("scheduling", "0002_lanes"),
    ]
    operations = [
        audit_changes_of("tenants_tenant", tenant="$1->>'id'", name=SLUG),
        audit_changes_of(
            "tenants_user",
            tenant=PLATFORM,
            name="$1->>'username'",
            hidden=["password"],
            ignored=["last_login", "date_joined"],
        ),
        audit_changes_of("tenants_membership", name=USER),
        audit_changes_of("tenants_apikey", hidden=["digest"], ignored=["last_used_at"]),
        audit_changes_of("tenants_quota", name=LIMIT),
        audit_changes_of("tenants_quotareset", name="$1->>'limit_name'"),
        audit_changes_of("tenants_platform", tenant=PLATFORM, name="'platform'"),
        audit_changes_of("routing_provider", tenant=PLATFORM, name=SLUG, hidden=["base_url"]),
        audit_changes_of("routing_credential", name=PROVIDER, hidden=["sealed", "hint"], ignored=["changed_at"]),
        audit_changes_of("routing_deployment", tenant=PLATFORM, name=SLUG, hidden=["options"]),
        audit_changes_of("routing_deploymentlimit", tenant=PLATFORM, name=f"concat(({DEPLOYMENT}), ': ', {LIMIT})"),
        audit_changes_of("routing_policy", name=SLUG),
        audit_changes_of(
            "routing_policyversion",
            tenant=POLICY.format("tenant_id"),
            name=f"concat(({POLICY.format('slug')}), ' v', $1->>'number')",
        ),
        audit_changes_of("routing_route"),
        audit_changes_of(
            "routing_routecandidate",
            tenant=ROUTE.format("tenant_id"),
            name=f"concat(({ROUTE.format('name')}), ': ', ({DEPLOYMENT}))",
        ),
        audit_changes_of("scheduling_lane", tenant=PLATFORM, name=SLUG),
    ]
