"""manage.py replay --policy chat --version 4 --tenant acme --since 24h"""

import json
import re
import time
from argparse import ArgumentParser
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from evals.replay_text import as_text
from evals.replays import Told, bounds_of, compare, differing, owners_of, sample_of, version_of
from routing.core.policy import PolicyInvalid
from routing.management.lookup import tenant_named
from routing.models import Policy, PolicyVersion

SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SHOWN = 10


class Command(BaseCommand):
    help = (
        "Make recent decisions of a policy again, without calling a provider. Without --version: as they were, which"
        " must give the same plans byte for byte (exit status 1 if not). With it: beside the active version."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--policy", required=True, help="its name; a tenant's own stands before the platform's")
        parser.add_argument("--version", type=int, dest="number", help="the version to compare with the active one")
        parser.add_argument("--tenant", default="", help="only this tenant's requests (default: of all who use it)")
        parser.add_argument("--since", default="", help="only requests of this time, as 90m, 24h or 7d")
        parser.add_argument("--limit", type=int, default=10_000, help="at most this many, the newest (default: 10000)")
        parser.add_argument("--json", action="store_true", help="the result as one JSON object")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        """Django's own --version gives way: here it is the policy's."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] < 1:
            raise CommandError("--limit must be at least 1.")
        policy = _policy(options["policy"], options["tenant"])
        tenant = tenant_named(options["tenant"])
        tenants = [tenant] if tenant is not None else owners_of(policy)
        sample = sample_of(policy, tenants, limit=options["limit"], since=_since(options["since"]))
        try:
            if options["number"] is None:
                self._check(policy, sample, as_json=options["json"])
            else:
                self._compare(policy, sample, options["number"], as_json=options["json"])
        except PolicyInvalid as error:
            raise CommandError(f"A version cannot be read: {error}") from error

    def _check(self, policy: Policy, sample: list[Told], *, as_json: bool) -> None:
        started = time.process_time()
        found = list(differing(policy, sample))
        took = time.process_time() - started
        result = {
            "replayed": len(sample),
            "identical": len(sample) - len(found),
            "per_cpu_second": round(len(sample) / took) if sample and took else None,
            "differing": [{"tenant": told.tenant, "trace": str(told.row["id"]), "why": why} for told, why in found],
        }
        if as_json:
            self.stdout.write(json.dumps(result))
        else:
            self.stdout.write(f"{result['identical']:,} of {len(sample):,} byte-identical")
            for one in result["differing"][:SHOWN]:  # type: ignore[index]
                self.stdout.write(f"  {one['tenant']} {one['trace']}: {one['why']}")
        if found:
            raise SystemExit(1)

    def _compare(self, policy: Policy, sample: list[Told], number: int, *, as_json: bool) -> None:
        active, version = (_version(policy, which) for which in (policy.active_version, number))
        report = compare(sample, version_of(active), version_of(version), bounds_of(policy))
        told = {"policy": policy.slug, "active": active.number, "version": number, **report}
        self.stdout.write(json.dumps(told) if as_json else as_text(told))


def _policy(slug: str, tenant: str) -> Policy:
    owner = tenant_named(tenant)
    found = (Policy.objects.filter(slug=slug, tenant=one).first() for one in dict.fromkeys((owner, None)))
    policy = next(filter(None, found), None)
    if policy is None:
        raise CommandError(f"There is no policy {slug!r}{f' of {tenant} or the platform' if tenant else ''}.")
    return policy


def _version(policy: Policy, number: int | None) -> PolicyVersion:
    if number is None:
        raise CommandError(f"No version of {policy.slug} is active: there is nothing to compare with.")
    version = policy.versions.select_related("policy").filter(number=number).first()
    if version is None:
        raise CommandError(f"{policy.slug} has no version {number}.")
    return version


def _since(said: str) -> datetime | None:
    if not said:
        return None
    match = SPAN.fullmatch(said)
    if match is None:
        raise CommandError("--since takes a time as 90m, 24h or 7d.")
    return timezone.now() - timedelta(seconds=int(match[1]) * SECONDS[match[2]])
