"""manage.py eval_baseline --policy demo --dataset mt-bench --route mock"""

from typing import Any

from django.core.management.base import CommandParser

from evals.management.running import RunCommand, baseline_wanted, policy_named
from evals.models import DatasetVersion
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
        return baseline_wanted(version, policy, options, options["policy_version"])
