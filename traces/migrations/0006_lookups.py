"""What is looked for in millions of traces, each by an index of its own; names are found by the hourly sums."""

import django.contrib.postgres.indexes
import django.db.models.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0005_trace_days"), ("traces", "0005_usage_so_far")]

    operations = [
        migrations.AddIndex(
            "trace",
            models.Index(
                fields=["error_code", "-started_at"], condition=~models.Q(error_code=""), name="trace_error"
            ),
        ),
        migrations.AddIndex("trace", models.Index(fields=["latency_ms"], include=["started_at", "outcome"], name="trace_latency")),
        migrations.AddIndex("trace", models.Index(fields=["cost_microusd"], include=["started_at", "outcome"], name="trace_cost")),
        migrations.AddIndex(
            "trace",
            models.Index(
                django.db.models.functions.Right(django.db.models.functions.Cast("id", models.TextField()), 12),
                name="trace_tail",
            ),
        ),
        migrations.AddIndex(
            "trace",
            django.contrib.postgres.indexes.GinIndex(
                django.contrib.postgres.indexes.OpClass(
                    django.db.models.functions.Upper("prompt_line"), "public.gin_trgm_ops"
                ),
                name="trace_prompt",
            ),
        ),
    ]
