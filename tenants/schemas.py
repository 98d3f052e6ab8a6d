"""A tenant's schema, in a fifth of the time that django-tenants takes to make one.

It runs every migration in it, those of shared apps too: they change nothing there, but Django draws all models anew
after each. So those that no tenant's table takes part in are noted as done beforehand, as they would be afterwards.
"""

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django_tenants.utils import quote_schema_name, schema_context


def make_schema(name: str, *, verbosity: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {quote_schema_name(name)}")
    with schema_context(name):
        _note_shared_migrations()
    call_command("migrate_schemas", schema_name=name, interactive=False, verbosity=verbosity)


def _note_shared_migrations() -> None:
    tenants_own = {config.label for config in apps.get_app_configs() if config.name in settings.TENANT_APPS}
    graph = MigrationLoader(connection).graph
    shared = [key for key in graph.nodes if tenants_own.isdisjoint(app for app, _ in graph.forwards_plan(key))]
    recorder = MigrationRecorder(connection)
    recorder.ensure_schema()
    recorder.migration_qs.bulk_create([recorder.Migration(app=app, name=name) for app, name in shared])
