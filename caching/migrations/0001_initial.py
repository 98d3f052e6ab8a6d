import pgvector.django
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("tenants", "0001_initial"),  # the extension
    ]

    operations = [
        migrations.CreateModel(
            name="SemanticEntry",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(db_index=True)),
                ("scope", models.BinaryField(db_index=True, max_length=32)),
                ("embedding", pgvector.django.VectorField(dimensions=384)),
                ("question", models.TextField()),
                ("answer", models.JSONField()),
                ("source_trace", models.UUIDField()),
                ("policy", models.CharField(max_length=64)),
                ("policy_version", models.IntegerField()),
                ("deployment", models.CharField(max_length=64)),
                ("model", models.CharField(max_length=200)),
                ("hits", models.IntegerField(default=0)),
                ("last_hit_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name_plural": "semantic entries",
                "indexes": [
                    pgvector.django.HnswIndex(
                        fields=["embedding"], name="semantic_embedding", opclasses=["public.vector_cosine_ops"]
                    )
                ],
            },
        ),
    ]
