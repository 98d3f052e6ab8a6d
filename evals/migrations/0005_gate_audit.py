from django.db import migrations

from tenants.audit_sql import TENANT_OF_SCHEMA, audit_changes_of

GATE = "SELECT slug FROM evals_gate WHERE id = ($1->>'gate_id')::bigint"


class Migration(migrations.Migration):

    dependencies = [
        ('evals', '0004_gates'),
        ('tenants', '0004_audit'),
    ]

    operations = [
        audit_changes_of("evals_gate", tenant=TENANT_OF_SCHEMA, name="$1->>'slug'", schema=""),
        audit_changes_of(
            "evals_gaterule", tenant=TENANT_OF_SCHEMA, name=f"concat(({GATE}), ': ', $1->>'metric')", schema=""
        ),
    ]
