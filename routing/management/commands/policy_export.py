"""manage.py policy_export demo > policy.demo.yaml"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from routing.management.lookup import tenant_named
from routing.models import Policy


class Command(BaseCommand):
    help = "Print a policy as YAML: its active version, else its newest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug")
        parser.add_argument("--tenant", default="", help="whose policy (default: the platform's)")
        parser.add_argument("--number", type=int, default=0, metavar="N", help="this version")

    def handle(self, *args: Any, **options: Any) -> None:
        policy = Policy.objects.filter(tenant=tenant_named(options["tenant"]), slug=options["slug"]).first()
        if policy is None:
            raise CommandError(
                f"There is no policy {options['slug']!r}. See /admin/routing/policy/ for those that exist."
            )
        versions = policy.versions.order_by("-number")
        number = options["number"] or policy.active_version
        version = versions.filter(number=number).first() if number else versions.first()
        if version is None:
            raise CommandError(f"{policy.slug} has no v{number}." if number else f"{policy.slug} has no version yet.")
        self.stdout.write(version.text, ending="")
