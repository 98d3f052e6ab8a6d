"""Traces lie in weekly partitions, and hourly sums are kept beside them.

A table that holds traces becomes the first partition as it is, up to the end of the week of its last trace; only its
primary key is built anew. PostgreSQL adopts its indexes.
"""

import pgvector.django.vector
from django.db import migrations, models

PARTITION = """
DO $$
DECLARE
  upper timestamptz;
  week timestamptz;
BEGIN
  ALTER TABLE traces_trace RENAME TO traces_trace_before;
  ALTER TABLE traces_trace_before DROP CONSTRAINT traces_trace_pkey;
  ALTER INDEX trace_newest RENAME TO trace_newest_before;
  ALTER INDEX trace_outcome RENAME TO trace_outcome_before;
  ALTER INDEX trace_request_id RENAME TO trace_request_id_before;
  CREATE TABLE traces_trace (LIKE traces_trace_before INCLUDING ALL EXCLUDING INDEXES) PARTITION BY RANGE (started_at);
  ALTER TABLE traces_trace ADD PRIMARY KEY (id, started_at);
  CREATE INDEX trace_newest ON traces_trace (started_at DESC, id DESC) INCLUDE (outcome);
  CREATE INDEX trace_outcome ON traces_trace (outcome, started_at DESC);
  CREATE INDEX trace_request_id ON traces_trace (request_id);
  CREATE TABLE traces_trace_default PARTITION OF traces_trace DEFAULT;
  week := date_trunc('week', now(), 'UTC');
  SELECT date_trunc('week', greatest(max(started_at), now()), 'UTC') + interval '7 days' INTO upper
    FROM traces_trace_before;
  IF EXISTS (SELECT FROM traces_trace_before) THEN
    EXECUTE format('ALTER TABLE traces_trace ATTACH PARTITION traces_trace_before'
      ' FOR VALUES FROM (MINVALUE) TO (%L)', upper);
    week := upper;
  ELSE
    DROP TABLE traces_trace_before;
  END IF;
  WHILE week < now() + interval '7 days' LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF traces_trace FOR VALUES FROM (%L) TO (%L)',
      'traces_trace_w' || to_char(week AT TIME ZONE 'UTC', 'YYYYMMDD'), week, week + interval '7 days');
    week := week + interval '7 days';
  END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("traces", "0003_ledger")]

    operations = [
        # What a writer of the version before leaves out must not make its row impossible.
        migrations.AlterField("trace", "charged_requests", models.SmallIntegerField(db_default=0, default=0)),
        migrations.AlterField("trace", "charged_tokens", models.IntegerField(db_default=0, default=0)),
        migrations.AlterField("trace", "endpoint", models.CharField(db_default="chat", default="chat", max_length=12)),
        migrations.AlterField("trace", "key_id", models.CharField(blank=True, db_default="", max_length=16)),
        migrations.AlterField("trace", "strategy", models.CharField(blank=True, db_default="", max_length=16)),
        migrations.AlterField("trace", "task", models.CharField(blank=True, db_default="", max_length=16)),
        migrations.RunSQL(PARTITION),
        migrations.CreateModel(
            name="Usage",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField(db_index=True)),
                ("sample", models.BooleanField()),
                ("api_key", models.CharField(max_length=80)),
                ("key_id", models.CharField(max_length=16)),
                ("route", models.CharField(max_length=200)),
                ("provider", models.CharField(max_length=64)),
                ("deployment", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=200)),
                ("policy", models.CharField(max_length=64)),
                ("policy_version", models.IntegerField()),
                ("lane", models.CharField(max_length=16)),
                ("cache", models.CharField(max_length=8)),
                ("outcome", models.CharField(max_length=12)),
                ("error_code", models.CharField(max_length=64)),
                ("requests", models.BigIntegerField()),
                ("tokens_in", models.BigIntegerField()),
                ("tokens_out", models.BigIntegerField()),
                ("charged_requests", models.BigIntegerField()),
                ("charged_tokens", models.BigIntegerField()),
                ("cost_microusd", models.BigIntegerField()),
                ("saved_microusd", models.BigIntegerField()),
                ("latency", pgvector.django.vector.VectorField(dimensions=120)),
                ("ttft", pgvector.django.vector.VectorField(dimensions=120)),
            ],
            options={"verbose_name_plural": "usage"},
        ),
        migrations.CreateModel(
            name="Attempts",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField(db_index=True)),
                ("provider", models.CharField(max_length=64)),
                ("deployment", models.CharField(max_length=64)),
                ("attempts", models.BigIntegerField()),
                ("failed", models.BigIntegerField()),
            ],
            options={"verbose_name_plural": "attempts"},
        ),
    ]
