from django.db import migrations

from tenants.live import announce_changes_of, announce_function


class Migration(migrations.Migration):
    dependencies = [("tenants", "0001_initial")]
    operations = [
        announce_function(),
        *map(announce_changes_of, ["tenants_tenant", "tenants_apikey", "tenants_quota"]),
    ]
