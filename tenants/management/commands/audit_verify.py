"""manage.py audit_verify --head 3f9a…"""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.audit import verify_log


class Command(BaseCommand):
    help = "Walk the hash chain of the audit log. Exit code 1, with the first wrong entry, if it does not hold."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--head", default="", metavar="HASH", help="a head that was printed earlier: it must still be in the chain"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = verify_log(options["head"])
        if found.problem:
            raise CommandError(f"{found.problem} {found.checked:,} entries before it are as they were written.")
        self.stdout.write(f"✓ {found.checked:,} entries hold. Head {found.head or '(empty)'}")
        self.stderr.write("Note the head somewhere else: with --head it shows later whether the end was cut off.")
