"""`manage.py erase_tenant SLUG`: says what would go; with --yes it goes."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django_tenants.utils import tenant_context

from relay_project.erase import Content, content_of, erase_content, erase_leftovers, erase_tenant
from tenants.models import Tenant
from traces.models import Trace


class Command(BaseCommand):
    help = "Erase a tenant with all it holds, or only what people wrote. Says what would go, unless --yes is given."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", help="its slug")
        parser.add_argument("--yes", action="store_true", help="do it; there is no way back")
        parser.add_argument("--content-only", action="store_true", help="prompts, answers and what quotes them")
        parser.add_argument("--before", type=_day, help="with --content-only: of traces before this day (UTC)")
        parser.add_argument("--user", help="with --content-only: of requests with this “user” field")

    def handle(self, *args: Any, tenant: str, yes: bool, content_only: bool, **options: Any) -> None:
        row = Tenant.objects.exclude(schema_name="public").filter(slug=tenant).first()
        content = Content(options["before"], options["user"])
        if content != Content() and not content_only:
            raise CommandError("--before and --user say which content: give --content-only, too.")
        if content_only and row is None:
            raise CommandError(f"There is no tenant {tenant!r}.")
        if content_only and row is not None:
            self._content(row, content, yes)
        elif row is None:
            if not yes:
                raise CommandError(f"There is no tenant {tenant!r}. With --yes, what Redis still holds of it goes.")
            self.stdout.write(f"There is no tenant {tenant!r}; {erase_leftovers(slug=tenant):,} leftovers are erased.")
        else:
            self._all(row, yes)

    def _content(self, tenant: Tenant, content: Content, yes: bool) -> None:
        found = erase_content(tenant=tenant, content=content) if yes else content_of(tenant, content)
        self.stdout.write(
            f"{'Erased' if yes else 'Would erase'}: the content of {found.traces:,} traces, {found.entries:,} answers"
            f" for like questions, {found.answers:,} for the same question."
        )
        self._hint(yes)

    def _all(self, tenant: Tenant, yes: bool) -> None:
        with tenant_context(tenant):
            traces = Trace.objects.count()
        parts = [
            f"{tenant.api_keys.count():,} API keys",
            f"{tenant.memberships.count():,} memberships",
            f"{tenant.policies.count():,} policies",
            f"{traces:,} traces",
        ]
        if yes:
            parts.append(f"{erase_tenant(tenant=tenant):,} keys of Redis")
        self.stdout.write(f"{'Erased' if yes else 'Would erase'} {tenant.slug}: {', '.join(parts)} and the schema.")
        self._hint(yes)

    def _hint(self, yes: bool) -> None:
        if yes:
            self.stdout.write("Requests that were under way may leave something behind: run it once more in a minute.")
        else:
            self.stdout.write("Nothing was changed. Add --yes to do it; there is no way back but a backup.")


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(f"must look like 2027-01-31, not {text!r}") from None
