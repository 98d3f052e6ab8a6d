"""`manage.py prune_traces`: what Celery does every hour, by hand, or with --dry-run only said."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from tenants.models import Tenant
from traces.retention import expired, prune


class Command(BaseCommand):
    help = "Drop the weeks of traces that are older than they are kept. Hourly usage stays."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", nargs="?", help="slug of one tenant (default: all)")
        parser.add_argument("--dry-run", action="store_true", help="say what would go")

    def handle(self, *args: Any, tenant: str | None, dry_run: bool, **options: Any) -> None:
        chosen = Tenant.objects.exclude(schema_name="public").order_by("slug")
        if tenant is not None and not (chosen := chosen.filter(slug=tenant)):
            raise CommandError(f"There is no tenant {tenant!r}.")
        verb = "would go" if dry_run else "dropped"
        for one in chosen:
            found = expired(one, timezone.now()) if dry_run else prune(one, timezone.now())
            self.stdout.write(f"{one.slug}: traces are kept from {found.kept_from:%Y-%m-%d} on")
            for week in found.weeks:
                size = f"about {week.rows:,} traces, {week.size / 1e6:,.0f} MB"
                self.stdout.write(f"  {verb}: {week.name}, {size}")
            if found.strays:
                self.stdout.write(f"  {verb}: {found.strays:,} older traces outside of any week")
