"""manage.py reset_quotas --tenant acme --key web-prod --window day --dry-run"""

import getpass
import time
from argparse import ArgumentParser
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError
from django.db.models import QuerySet

from routing.candidates import limit_of_deployment
from routing.models import Deployment, DeploymentLimit
from tenants.models import ApiKey, Quota, Tenant
from tenants.resets import CountersAway, Named, named, reset
from tenants.usage import uses


class Command(BaseCommand):
    help = "Take off what quotas or limits of a deployment have counted in their present window. Each reset is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", help="quotas of this tenant and of its keys")
        parser.add_argument("--key", help="only those of the key with this name (with --tenant)")
        parser.add_argument("--deployment", help="limits of this deployment")
        parser.add_argument("--window", choices=Quota.Window.values)
        parser.add_argument("--metric", choices=DeploymentLimit.Metric.values)
        parser.add_argument("--note", default="", help="why, for those who read it later")
        parser.add_argument("--dry-run", action="store_true", help="only show what is used")

    def handle(self, *args: Any, **options: Any) -> None:
        limits = _chosen(options)
        found = uses([one.limit for one in limits])
        if found is None:
            raise CommandError("The state store is away or its counters are being rebuilt. Nothing was reset.")
        for one, use in zip(limits, found, strict=True):
            self.stdout.write(f"{one.name}: {use.left.used:,} of {use.left.limit.limit:,} used")
        if options["dry_run"]:
            self.stdout.write("Nothing was reset (--dry-run).")
            return
        try:
            rows = reset(limits=limits, author=_author(), now=time.time(), note=options["note"])
        except (redis.RedisError, CountersAway) as error:
            raise CommandError(f"Nothing was reset. {error}") from error
        self.stdout.write(f"{len(rows):,} of {len(limits):,} counters reset; the others had nothing settled.")


def _chosen(options: dict[str, Any]) -> list[Named]:
    """Raises CommandError if it is not clear whose, or nothing matches."""
    if bool(options["tenant"]) == bool(options["deployment"]):
        raise CommandError("Say whose: --tenant or --deployment.")
    if options["key"] and not options["tenant"]:
        raise CommandError("--key needs --tenant: names of keys are a tenant's own.")
    chosen = _quotas(options) if options["tenant"] else _limits_of_deployment(options)
    if not chosen:
        raise CommandError("There is no such limit.")
    return chosen


def _quotas(options: dict[str, Any]) -> list[Named]:
    tenant = Tenant.objects.exclude(schema_name="public").filter(slug=options["tenant"]).first()
    if tenant is None:
        raise CommandError(f"There is no tenant {options['tenant']!r}.")
    rows = Quota.objects.filter(tenant=tenant).select_related("tenant", "api_key")
    if options["key"]:
        key = ApiKey.objects.filter(tenant=tenant, name=options["key"]).first()
        if key is None:
            raise CommandError(f"{tenant.slug} has no key {options['key']!r}.")
        rows = rows.filter(api_key=key)
    return [named(row) for row in _narrowed(rows, options)]


def _limits_of_deployment(options: dict[str, Any]) -> list[Named]:
    deployment = Deployment.objects.filter(slug=options["deployment"]).first()
    if deployment is None:
        raise CommandError(f"There is no deployment {options['deployment']!r}.")
    rows = _narrowed(DeploymentLimit.objects.filter(deployment=deployment).select_related("deployment"), options)
    return [Named(limit_of_deployment(row), f"{deployment.slug}: {row}"[:120], None) for row in rows]


def _narrowed(rows: "QuerySet[Any]", options: dict[str, Any]) -> "QuerySet[Any]":
    return rows.filter(**{name: options[name] for name in ("window", "metric") if options[name]})


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "command line"
