"""manage.py eval_candidate --policy demo --dataset mt-bench --route mock"""

from dataclasses import replace
from typing import Any

from django.core.management.base import CommandParser

from evals.core.scorers import scorers_from_words
from evals.management.running import RunCommand, baseline_wanted, policy_named, usage_error
from evals.models import DatasetVersion, Run
from evals.runs import Wanted, create_run, newest_baseline
from routing.models import Policy
from routing.services import newest_number
from tenants.models import Tenant


class Command(RunCommand):
    help = (
        "Ask a data set with another version of a policy, the newest one unless --version says otherwise, as its"
        " baseline was asked: as often, with the same cache and scorers."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--version", type=int, dest="policy_version", help="Of the policy; default: the newest.")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--baseline", type=int, help="A run's number; default: the newest of eval_baseline.")
        which.add_argument(
            "--interleaved",
            action="store_true",
            help="Make the baseline, too, with the active version: both ask the same at the same time, so that a busy"
            " machine or provider is no difference between them.",
        )

    def wanted(self, tenant: Tenant, version: DatasetVersion, options: dict[str, Any]) -> Wanted:
        policy = policy_named(tenant, options["policy"])
        baseline = self._baseline(tenant, version, policy, options)
        return Wanted(
            version=version,
            route=options["route"],
            policy=policy.slug,
            policy_version=options["policy_version"] or newest_number(policy),
            name=options["name"],
            repetitions=baseline.repetitions if options["repetitions"] is None else options["repetitions"],
            concurrency=options["concurrency"],
            cache=options["cache"] or baseline.cache,
            scorers=scorers_from_words(options["scorers"]) or baseline.scorers,
            baseline=baseline,
        )

    def _baseline(self, tenant: Tenant, version: DatasetVersion, policy: Policy, options: dict[str, Any]) -> Run:
        if options["interleaved"]:
            wanted = replace(baseline_wanted(version, policy, options, None), name="")
            return create_run(tenant=tenant, wanted=wanted, created_by="command", staff=True)
        if options["baseline"]:
            found = Run.objects.filter(pk=options["baseline"]).select_related("version__dataset").first()
        else:
            found = newest_baseline(version.dataset, options["route"], policy.slug)
        if found is None:
            raise usage_error("There is no finished baseline to compare with: run manage.py eval_baseline first.")
        return found
