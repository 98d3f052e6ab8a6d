import django.core.validators
from django.contrib.postgres.operations import TrigramExtension
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tenants", "0004_audit")]

    operations = [
        TrigramExtension(),  # here, because one schema holds it for all tenants
        migrations.AddField(
            model_name="tenant",
            name="trace_days",
            field=models.PositiveSmallIntegerField(
                blank=True,
                help_text="Empty: as long as the platform keeps them. Traces go a week at a time, and those of the"
                " present month stay, because quotas are counted from them; hourly usage is kept.",
                null=True,
                validators=[
                    django.core.validators.MinValueValidator(1),
                    django.core.validators.MaxValueValidator(3650),
                ],
                verbose_name="traces are kept for (days)",
            ),
        ),
    ]
