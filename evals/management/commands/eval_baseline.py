"""manage.py eval_baseline --policy demo --dataset mt-bench --route mock"""

from typing import Any

from django.core.management.base import CommandParser

from evals.core.scorers import scorers_from_words
from evals.management.running import RunCommand, policy_named, usage_error
from evals.models import DatasetVersion, Run
from evals.runs import Wanted
from tenants.models import Tenant


class Command(RunCommand):
    help = "Ask a data set through Relay with the active version of a policy: what candidates are compared with."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--version", type=int, dest="policy_version", help="Of the policy; default: the active one."
        )

    def wanted(self, tenant: Tenant, version: DatasetVersion, options: dict[str, Any]) -> Wanted:
        policy = policy_named(tenant, options["policy"])
        number = options["policy_version"] or policy.active_version
        if number is None:
            raise usage_error(f"No version of “{policy.slug}” is active; name one with --version.")
        return Wanted(
            version=version,
            route=options["route"],
            policy=policy.slug,
            policy_version=number,
            name=options["name"],
            repetitions=1 if options["repetitions"] is None else options["repetitions"],
            concurrency=options["concurrency"],
            cache=options["cache"] or Run.Cache.OFF,
            scorers=scorers_from_words(options["scorers"]),
        )
