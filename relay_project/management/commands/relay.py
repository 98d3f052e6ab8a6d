"""manage.py relay status, tenants, keys, quotas, usage, policy, reload: what the admin API does, from the shell."""

import json
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from relay_project.overview import status
from relay_project.reload import reload_providers
from relay_project.usage_report import MOST_DAYS, usage
from routing.default_policy import default_policy, default_policy_choices, set_default_policy
from tenants.auth import limit_of
from tenants.models import ApiKey, Quota, Tenant
from tenants.services import revoke_api_key
from tenants.usage import Use, uses

MOST_ROWS = 1_000
Row = Mapping[str, Any]


class Command(BaseCommand):
    help = "See and steer Relay from the shell, as the admin API does."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        parts = parser.add_subparsers(dest="part", required=True, metavar="PART")
        parts.add_parser("status", help="processes, providers, breakers, burn rates, lanes, trace writer")
        parts.add_parser("tenants", help="all tenants (create one: create_tenant)")
        keys = parts.add_parser("keys", help="API keys (create one: create_api_key)")
        keys.add_argument("--tenant", default="")
        keys.add_argument("--revoke", default="", metavar="ID", help="dead everywhere within a second")
        quotas = parts.add_parser("quotas", help="quotas and what is used of them (reset: reset_quotas)")
        quotas.add_argument("--tenant", default="")
        used = parts.add_parser("usage", help="by day, tenant and model")
        used.add_argument("--tenant", default="")
        used.add_argument("--days", type=int, default=7, help=f"up to today, 1 to {MOST_DAYS} (default: 7)")
        policy = parts.add_parser("policy", help="the default policy; with a name, set it")
        policy.add_argument("name", nargs="?", help="a strategy, a policy of the platform, or none")
        parts.add_parser("reload", help="read the configuration anew, in every process")

    def handle(self, *args: Any, **options: Any) -> None:
        answer = PARTS[options["part"]](options)
        if options["json"]:
            self.stdout.write(json.dumps(answer, default=str))
        elif isinstance(answer, list):
            self.stdout.write("\n".join(table(answer)) or "Nothing there.")
        else:
            self.stdout.write("\n".join(lines(answer)))


def of_tenants(options: Row) -> list[Row]:
    rows = Tenant.objects.exclude(schema_name="public").order_by("slug")[:MOST_ROWS]
    return [{"slug": row.slug, "name": row.name, "content": row.content, "active": row.active} for row in rows]


def of_keys(options: Row) -> list[Row]:
    if wanted := options["revoke"]:
        row = ApiKey.objects.filter(key_id=wanted).first()
        if row is None:
            raise CommandError(f"There is no API key {wanted!r}; `relay keys` lists their ids.")
        revoke_api_key(key=row)
    rows = ApiKey.objects.filter(tenant__in=chosen(options)).select_related("tenant").order_by("tenant__slug", "name")
    return [
        {
            "id": row.key_id,
            "tenant": row.tenant.slug,
            "name": row.name,
            "last_used": row.last_used_at,
            "expires": row.expires_at,
            "revoked": row.revoked_at,
        }
        for row in rows[:MOST_ROWS]
    ]


def of_quotas(options: Row) -> list[Row]:
    rows = list(Quota.objects.filter(tenant__in=chosen(options)).select_related("tenant", "api_key")[:MOST_ROWS])
    found: Sequence[Use | None] = uses([limit_of(row) for row in rows]) or [None] * len(rows)
    return [
        {
            "id": row.pk,
            "tenant": row.tenant.slug,
            "key": row.api_key.name if row.api_key else "all",
            "metric": row.metric,
            "window": row.window,
            "used": use.left.used if use else None,
            "limit": row.limit,
            "when_over": "refuse" if row.hard else "mark",
        }
        for row, use in zip(rows, found, strict=True)
    ]


def of_usage(options: Row) -> list[dict[str, Any]]:
    if not 1 <= options["days"] <= MOST_DAYS:
        raise CommandError(f"--days must be 1 to {MOST_DAYS}.")
    today = timezone.now().date()
    first = today - timedelta(days=options["days"] - 1)
    return usage(tenants=chosen(options), first=first, last=today, limit=MOST_ROWS)


def of_policy(options: Row) -> Row:
    if options["name"] is not None:
        try:
            set_default_policy(name="" if options["name"] == "none" else options["name"])
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
    return {"default_policy": default_policy() or None, "choices": default_policy_choices()}


def of_reload(options: Row) -> Row:
    reload_providers()
    return {"status": "reloading"}


PARTS: dict[str, Callable[[Row], Any]] = {
    "status": lambda options: status(),
    "tenants": of_tenants,
    "keys": of_keys,
    "quotas": of_quotas,
    "usage": of_usage,
    "policy": of_policy,
    "reload": of_reload,
}


def chosen(options: Row) -> list[Tenant]:
    """All tenants, or the one that was named."""
    rows = Tenant.objects.exclude(schema_name="public").order_by("slug")
    found = list(rows.filter(slug=options["tenant"]) if options["tenant"] else rows)
    if options["tenant"] and not found:
        raise CommandError(f"There is no tenant {options['tenant']!r}.")
    return found


def table(rows: list[Row]) -> list[str]:
    """Columns as wide as they need to be, under their names."""
    if not rows:
        return []
    cells = [list(rows[0]), *([said(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[at]) for line in cells) for at in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def lines(value: Any, indent: str = "") -> Iterable[str]:
    """Nested values, one a line."""
    for name, item in value.items():
        if isinstance(item, dict):
            yield f"{indent}{name}:"
            yield from lines(item, f"{indent}  ")
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            yield f"{indent}{name}:"
            for one in item:
                first, *rest = lines(one, f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from rest
        else:
            yield f"{indent}{name}: {said(item)}"


def said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "–" if value in (None, "") else str(value)
