"""What ``eval_baseline`` and ``eval_candidate`` share: which run is wanted, waiting for it, and what it said."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.db.models import Q
from django_tenants.utils import tenant_context

from evals import runs
from evals.core.rows import DatasetInvalid
from evals.core.scorers import names_in, scorers_from_words
from evals.core.shown import Line, lines
from evals.datasets import bundled, import_bundled
from evals.executing import execute
from evals.models import DatasetVersion, Run
from evals.runs import Progress, Wanted
from evals.tasks import send
from routing.management.lookup import tenant_named
from routing.models import Policy
from tenants.models import Tenant
from traces.core.formats import money

LOOK_S, TELL_S, PATIENCE_S = 0.5, 5.0, 15.0


def usage_error(message: str) -> CommandError:
    return CommandError(message, returncode=2)


class RunCommand(BaseCommand):
    """Exits with 0 when the run is done, 1 when it failed or was cancelled, 2 when it could not begin."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Django's own --version makes room for that of the policy."""
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--policy", required=True, help="Its name.")
        add("--dataset", required=True, help="Its name, or name@version; a bundled one is imported.")
        add("--route", required=True, help="The model name that is asked for.")
        add("--repetitions", type=int, help="How often each prompt is asked.")
        add("--concurrency", type=int, default=4, help="Requests at a time.")
        add("--cache", choices=Run.Cache.values, help="off: every answer is made anew; own: empty at the beginning.")
        add("--scorers", default="", help="Like exact,numeric:tolerance=0.01 (see README, Evals).")
        add("--name", default="", help="What the run is called in the console.")
        add("--tenant", default="default", help="Its slug.")
        add("--no-wait", action="store_true", help="Leave it to the worker and end.")
        add("--here", action="store_true", help="Carry it in this process instead of in a worker.")
        add("--json", action="store_true", help="Print one JSON object.")

    def wanted(self, tenant: Tenant, version: DatasetVersion, options: dict[str, Any]) -> Wanted:
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            tenant = tenant_named(options["tenant"])
        except CommandError as error:
            raise usage_error(str(error)) from None
        if tenant is None:
            raise usage_error("--tenant must name a tenant.")
        with tenant_context(tenant):
            run = self._created(tenant, options)
            url = f"{settings.RELAY_EVAL_URL}/admin/evals/runs/{run.pk}/?tenant={tenant.slug}"
            self.stderr.write(f"Run {run.pk}: {run.expected:,} requests to {run.route} with {run.policy}@"
                              f"{run.policy_version}. {url}")  # fmt: skip
            self._carry(tenant, run, options)
            self._report(Run.objects.get(pk=run.pk), url, options)

    @transaction.atomic
    def _created(self, tenant: Tenant, options: dict[str, Any]) -> Run:
        try:
            version = version_named(options["dataset"])
            return runs.create_run(
                tenant=tenant, wanted=self.wanted(tenant, version, options), created_by="command", staff=True
            )
        except (ValidationError, DatasetInvalid) as error:
            told = error.messages if isinstance(error, ValidationError) else error.problems
            raise usage_error(" ".join(told)) from error

    def _carry(self, tenant: Tenant, run: Run, options: dict[str, Any]) -> None:
        if options["here"]:
            self.stderr.write("In this process; Ctrl-C leaves it to a worker.")
            execute(tenant, run.pk)
            return
        send(tenant, run)
        if options["no_wait"]:
            return
        try:
            self._wait(run)
        except KeyboardInterrupt:
            raise CommandError(
                f"Run {run.pk} goes on without this command; its page shows it and can cancel it."
            ) from None

    def _wait(self, run: Run) -> None:
        began, told, warned = time.monotonic(), 0.0, False
        say = self._said()
        while True:
            progress = runs.progress_of([Run.objects.get(pk=run.pk)])[run.pk]
            if not progress.open:
                say(told_of(progress), True)
                return
            waited = time.monotonic() - began
            if progress.state == Run.State.QUEUED and waited > PATIENCE_S and not warned:
                warned = True
                self.stderr.write("No worker has taken it yet: celery -A relay_project worker -Q evals, or --here.")
            if sys.stderr.isatty() or waited - told >= TELL_S:
                told = waited
                say(told_of(progress), False)
            time.sleep(LOOK_S)

    def _said(self) -> Callable[[str, bool], None]:
        """On a terminal one line that changes, elsewhere a line now and then."""

        def say(line: str, last: bool) -> None:
            if sys.stderr.isatty():
                self.stderr.write(f"\r\x1b[K{line}", ending="\n" if last else "")
                self.stderr.flush()
            else:
                self.stderr.write(line)

        return say

    def _report(self, run: Run, url: str, options: dict[str, Any]) -> None:
        table = lines(runs.answered(run), names_in(run.scorers)) if run.state not in runs.OPEN else []
        if options["json"]:
            self.stdout.write(json.dumps(as_json(run, table, url)))
        else:
            for line in table:
                self.stdout.write(f"{line.label:<22} {line.text:>12}   of {line.of:,}{runs.why_silent(run, line)}")
        if run.state in (Run.State.FAILED, Run.State.CANCELLED):
            raise CommandError(run.error or "The run was cancelled.")
        if not options["json"]:
            self.stdout.write(url)


def told_of(progress: Progress) -> str:
    filled = int(progress.percent / 5)
    left = "" if progress.left_s is None else f", about {progress.left_s:,.0f} s left"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    return (
        f"{'█' * filled}{'░' * (20 - filled)} {progress.done:,} of {progress.expected:,}{failed},"
        f" {money(progress.cost_microusd)}{left} ({progress.state})"
    )


def as_json(run: Run, table: list[Line], url: str) -> dict[str, Any]:
    return {
        "run": run.pk,
        "name": run.name,
        "state": run.state,
        "dataset": f"{run.version.dataset.slug}@{run.version.number}",
        "route": run.route,
        "policy": f"{run.policy}@{run.policy_version}",
        "baseline": run.baseline_id,
        "metrics": {line.name: line.value for line in table},
        "url": url,
    }


def version_named(text: str) -> DatasetVersion:
    """``name`` (the newest version) or ``name@number``. Raises CommandError."""
    slug, _, number = text.partition("@")
    versions = DatasetVersion.objects.filter(dataset__slug=slug).select_related("dataset")
    if not versions and slug in bundled():
        import_bundled(slug, created_by="command")
    version = versions.filter(number=int(number)).first() if number.isdecimal() else versions.all().first()
    if version is None or (number and not number.isdecimal()):
        known = ", ".join(sorted({*bundled(), *DatasetVersion.objects.values_list("dataset__slug", flat=True)}))
        raise usage_error(
            f"There is no data set {text!r}. There are: {known}. Upload one: manage.py eval_dataset import"
        )
    return version


def baseline_wanted(version: DatasetVersion, policy: Policy, options: dict[str, Any], number: int | None) -> Wanted:
    """``number``: of the policy's version; None: the active one. Raises CommandError."""
    number = number or policy.active_version
    if number is None:
        raise usage_error(f"No version of “{policy.slug}” is active: run eval_baseline with --version.")
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


def policy_named(tenant: Tenant, slug: str) -> Policy:
    """The tenant's, else the platform's. Raises CommandError."""
    usable = Policy.objects.filter(Q(tenant=tenant) | Q(tenant=None), slug=slug)
    policy = usable.order_by("tenant").first()
    if policy is None:
        raise usage_error(f"There is no policy {slug!r} of {tenant.name} or of the platform.")
    return policy
