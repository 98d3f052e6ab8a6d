from django.db import migrations, models

# What a change of a policy must keep to, until the tenant says otherwise. Why p50 stands beside p95: README, "Gates".
RULES = [
    ("p50_latency", "at_most", "change", 5),
    ("p95_latency", "at_most", "change", 10),
    ("cost", "at_most", "change", 5),
    ("score:similarity", "at_least", "change", -3),
    ("error_rate", "at_most", "difference", 0.02),
    ("refusal_rate", "at_most", "difference", 0.02),
    ("wrong_hits", "at_most", "value", 0.02),
]


def add_default(apps, schema_editor):
    gate = apps.get_model("evals", "Gate").objects.create(slug="default", name="Default")
    rule = apps.get_model("evals", "GateRule")
    for metric, direction, measure, bound in RULES:
        rule.objects.create(gate=gate, metric=metric, direction=direction, measure=measure, bound=bound)


class Migration(migrations.Migration):

    dependencies = [
        ('evals', '0003_evalruns'),
    ]

    operations = [
        migrations.AlterField(
            model_name='gaterule',
            name='bound',
            field=models.FloatField(help_text='Of a change in percent (10: at most +10%); else in the metric’s unit: ms, tokens, millionths of a dollar; rates and scores from 0 to 1 (0.02: two points).'),
        ),
        migrations.RunPython(add_default, migrations.RunPython.noop),
    ]
