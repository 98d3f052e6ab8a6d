from django.db import migrations

from tenants.audit_sql import audit_changes_of

VERSION = (
    "SELECT {} FROM public.routing_policyversion AS version JOIN public.routing_policy AS policy"
    " ON policy.id = version.policy_id WHERE version.id = ($1->>'version_id')::bigint"
)


class Migration(migrations.Migration):
    dependencies = [
        ("relay_project", "0003_audit_shadows"),
        ("routing", "0011_replay"),
    ]
    operations = [
        audit_changes_of(
            "routing_proof",
            tenant=VERSION.format("policy.tenant_id"),
            name=VERSION.format("concat(policy.slug, ' v', version.number)"),
            ignored=["report"],
        ),
    ]
