from django.db import migrations

from tenants.live import announce_changes_of


class Migration(migrations.Migration):
    dependencies = [("routing", "0001_initial"), ("tenants", "0002_live")]
    operations = [
        *map(
            announce_changes_of,
            [
                "routing_provider",
                "routing_deployment",
                "routing_policy",
                "routing_policyversion",
                "routing_route",
                "routing_routecandidate",
            ],
        )
    ]
