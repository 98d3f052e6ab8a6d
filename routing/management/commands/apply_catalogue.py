"""manage.py apply_catalogue deploy/kubernetes/overlays/multi-model/catalogue.yaml"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from routing.catalogue_file import CatalogueInvalid, apply_catalogue
from routing.management.commands.policy_import import read


class Command(BaseCommand):
    help = "Make or change the platform's providers, deployments and routes as a YAML file says. Safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a YAML file, or - for stdin")
        parser.add_argument("--dry-run", action="store_true", help="only say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        text = read(options["file"])
        try:
            with transaction.atomic():
                changed = apply_catalogue(text)
                transaction.set_rollback(options["dry_run"])
        except CatalogueInvalid as error:
            raise CommandError(f"Nothing was changed. {error}") from error
        for place in changed:
            self.stdout.write(f"✓ {place}{' would change' if options['dry_run'] else ''}")
        if not changed:
            self.stdout.write("✓ All is as the file says.")
