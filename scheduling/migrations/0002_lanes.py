from django.db import migrations

from tenants.live import announce_changes_of

LANES = [
    {
        "slug": "short",
        "title": "Short",
        "weight": 3,
        "protected_percent": 25,
        "max_queue": 200,
        "wait_slo_ms": 2_000,
        "degraded_max_tokens": 64,
    },
    {
        "slug": "long",
        "title": "Long",
        "weight": 1,
        "protected_percent": 0,
        "max_queue": 100,
        "wait_slo_ms": 15_000,
        "degraded_max_tokens": 512,
    },
]


def make_lanes(apps, schema_editor):
    lanes = apps.get_model("scheduling", "Lane").objects
    for values in LANES:
        lanes.get_or_create(slug=values["slug"], defaults=values)


class Migration(migrations.Migration):
    dependencies = [("scheduling", "0001_initial"), ("tenants", "0002_live")]
    operations = [
        migrations.RunPython(make_lanes, migrations.RunPython.noop),
        announce_changes_of("scheduling_lane"),
    ]
