"""`manage.py seed`: what a new installation needs to answer its first request. Running it again changes nothing."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from routing.documents import problems_of
from routing.models import Policy
from routing.seeding import seed_catalogue
from routing.services import import_policy
from tenants.models import Tenant, User
from tenants.services import create_tenant
from traces.samples import write_samples

DEMO_POLICY = settings.BASE_DIR / "policies" / "policy.demo.yaml"
AUTO_POLICY = settings.BASE_DIR / "policies" / "policy.auto.yaml"


class Command(BaseCommand):
    help = "Make the tenant “default”, an admin, the demo's policy, providers and routes. Safe to run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--samples", type=int, default=0, help="Sample traces for a tenant that is new (labelled as such)."
        )

    def handle(self, *args: Any, samples: int, **options: Any) -> None:
        tenant = Tenant.objects.filter(slug="default").first()
        new = tenant is None
        tenant = tenant or create_tenant(slug="default", name="Default")
        seed_admin()
        with transaction.atomic():
            policies = {
                "demo": seed_policy("demo", Path(settings.POLICY_PATH or DEMO_POLICY)),
                "auto": seed_policy("auto", AUTO_POLICY),
            }
            seed_catalogue(policies, os.environ)
        if new and samples:
            write_samples(tenant, count=samples)
        self.stdout.write(f"{'Seeded' if new else 'Nothing was missing for'} tenant default.")


def seed_admin() -> None:
    """The password of RELAY_ADMIN_PASSWORD is that of a new admin only: who changed it later keeps the change."""
    password = os.environ.get("RELAY_ADMIN_PASSWORD")
    if password and not User.objects.filter(username="admin").exists():
        User.objects.create_superuser("admin", email=None, password=password)


def seed_policy(slug: str, path: Path) -> Policy:
    """The file's text as a new active version, unless it was one before: what was edited live stays in force."""
    try:
        text = path.read_text()
    except OSError as error:
        raise CommandError(f"The policy {path} cannot be read: {error.strerror}.") from error
    problems = problems_of(text)
    if problems:
        first = problems[0]
        raise CommandError(f"The policy {path}, line {first.line}: {first.path}: {first.message}")
    policy = Policy.objects.filter(tenant=None, slug=slug).first()
    if policy is None or not policy.versions.filter(text=text).exists():
        note = f"Loaded from {path.name}"
        import_policy(tenant=None, slug=slug, text=text, activated=True, note=note, author="seed")
    return Policy.objects.get(tenant=None, slug=slug)
