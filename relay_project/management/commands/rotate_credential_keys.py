"""`manage.py rotate_credential_keys`: all that is sealed (credentials, addresses of alerts) under the first of
RELAY_CREDENTIAL_KEYS."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay_project.alerts.services import rotate_channels
from routing.credentials import NO_KEYS, rotate_keys


class Command(BaseCommand):
    help = "Wrap all stored credentials under the first key of RELAY_CREDENTIAL_KEYS; then older keys can be removed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done.")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        if not settings.RELAY_CREDENTIAL_KEYS:
            raise CommandError(NO_KEYS)
        first = next(iter(settings.RELAY_CREDENTIAL_KEYS))
        done = rotate_keys(dry_run=dry_run) + rotate_channels(dry_run=dry_run)
        verb = "would be put" if dry_run else "put"
        self.stdout.write(f"{done.rewrapped:,} {verb} under key {first}; {done.current:,} were there already.")
        if done.lost:
            raise CommandError(
                f"{len(done.lost):,} cannot be opened with the keys that are set: {', '.join(done.lost)}. Add the key"
                " that sealed them, or enter them again in the console."
            )
