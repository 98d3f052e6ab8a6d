"""manage.py create_tenant acme --name "Acme retail" """

import json
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from tenants.models import Tenant
from tenants.services import create_tenant


class Command(BaseCommand):
    help = "Create a tenant with its own schema."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="a-z, 0-9 and -; sent by clients as X-Tenant-Id")
        parser.add_argument("--name", default="", help="shown in the console (default: the slug)")
        parser.add_argument(
            "--content", choices=Tenant.Content.values, default=Tenant.Content.FULL.value, help="what traces keep"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = create_tenant(slug=options["slug"], name=options["name"], content=options["content"])
        except ValidationError as error:
            raise CommandError(f"The tenant was not created. {'; '.join(error.messages)}") from error
        if options["json"]:
            self.stdout.write(json.dumps({"slug": tenant.slug, "name": tenant.name, "content": tenant.content}))
            return
        self.stdout.write(f"✓ Tenant {tenant.slug} created")
        self.stderr.write(f"Next: manage.py create_api_key {tenant.slug} my-first-key")
