"""manage.py create_api_key acme web-prod --scope chat --expires 2027-01-31"""

import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants.models import ApiKey, Tenant
from tenants.services import create_api_key


class Command(BaseCommand):
    help = "Create an API key. Its text is printed once, to stdout; Relay keeps only a fingerprint."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("tenant", help="the tenant's slug")
        parser.add_argument("name", help="who or what uses it")
        parser.add_argument(
            "--scope", action="append", choices=ApiKey.Scope.values, help="may be repeated (default: everything)"
        )
        parser.add_argument(
            "--expires", default="", help="a day or time, UTC: 2027-01-31 or 2027-01-31T12:00 (default: never)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = Tenant.objects.exclude(schema_name="public").filter(slug=options["tenant"]).first()
        if tenant is None:
            raise CommandError(
                f"There is no tenant {options['tenant']!r}. Create it: manage.py create_tenant {options['tenant']}"
            )
        try:
            row, text = create_api_key(
                tenant=tenant,
                name=options["name"],
                scopes=options["scope"],
                expires_at=_moment(options["expires"]),
                created_by="command line",
            )
        except ValidationError as error:
            raise CommandError(f"The key was not created. {'; '.join(error.messages)}") from error
        if options["json"]:
            self.stdout.write(json.dumps({"tenant": tenant.slug, "name": row.name, "id": row.key_id, "key": text}))
            return
        self.stdout.write(text)
        self.stderr.write("Copy it now: it is not shown again. Clients send it as “Authorization: Bearer …”.")


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandError(f"--expires must look like 2027-01-31 or 2027-01-31T12:00, not {text!r}.") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment <= datetime.now(UTC):
        raise CommandError(f"--expires {text} is in the past.")
    return moment
