"""`manage.py canary start | status | advance | pause | resume | rollback`: the same as the console and the API."""

import json
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from routing.canaries import NoLiveCanary, NotAdvanced, advance, pause, resume, roll_back, start_canary
from routing.canary_report import report_of
from routing.canary_scores import USUAL, Wanted
from routing.core.canary import LIVE
from routing.models import Canary, Deployment, PolicyVersion, Route

BY = "command line"
SCORES = {
    "percent": "of the candidate's answers that are scored",
    "daily": "pairs scored a day at most",
    "tolerance": "by how much its scores, 0 to 1, may be worse on average",
    "least_pairs": "scored pairs that a stage needs",
}  # as ``Wanted`` takes them
NOTED = {
    "pause": "it keeps its share, until",
    "resume": "it goes on by itself",
    "rollback": "the base answers everybody within a second",
}


class Command(BaseCommand):
    help = "Start, watch, advance, pause and roll back canaries."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        start = verbs.add_parser("start", help="give a candidate a share of a route")
        start.add_argument("route")
        tried = start.add_mutually_exclusive_group(required=True)
        tried.add_argument("--deployment", help="its slug")
        tried.add_argument("--policy-version", type=int, help="of the route's policy")
        start.add_argument("--tenant", help="whose route (default: the platform's)")
        start.add_argument("--sticky", choices=Canary.Sticky.values, default=Canary.Sticky.CONVERSATION)
        start.add_argument("--stages", help="percentages that rise, such as 1,5,25 (default: CANARY_STAGES)")
        start.add_argument("--window", type=int, help="calls of the candidate a stage (default: CANARY_WINDOW)")
        _add_scores(start)
        status = verbs.add_parser("status", help="what is live, and the newest that ended")
        status.add_argument("--json", action="store_true")
        on = verbs.add_parser("advance", help="to the next stage, if the guardrails allow it")
        on.add_argument("canary", type=int)
        on.add_argument("--force", action="store_true", help="whatever the guardrails say")
        for name, about in NOTED.items():
            verb = verbs.add_parser(name, help=about)
            verb.add_argument("canary", type=int)
            verb.add_argument("--note", default="", help="why; kept with it")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(options)
        except (NotAdvanced, NoLiveCanary) as error:
            raise CommandError(str(error)) from None
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None

    def _start(self, options: dict[str, Any]) -> None:
        route = route_of(options["route"], options["tenant"])
        candidate = candidate_of(route, options["deployment"], options["policy_version"])
        sticky, window = options["sticky"], options["window"]
        stages = _stages(options["stages"])
        wanted = {name: options[f"score_{name}"] for name in SCORES}
        scores = Wanted(options["scorer"], **wanted) if options["scorer"] else None
        row = start_canary(
            route=route, candidate=candidate, sticky=sticky, stages=stages, window=window, scores=scores, by=BY
        )
        self.stdout.write(f"✓ Canary {row.pk}: {row.name} takes {row.share} % of {route.name}")

    def _status(self, options: dict[str, Any]) -> None:
        rows = Canary.objects.select_related("route__tenant", "evidence", "scoring").prefetch_related("transitions")
        live = rows.filter(state__in=LIVE)
        found = [report_of(row) for row in (*live, *rows.exclude(state__in=LIVE)[:10])]
        if options["json"]:
            self.stdout.write(json.dumps(found, cls=DjangoJSONEncoder))
            return
        for one in found:
            why = one["next"] or one["transitions"][-1]["why"]
            self.stdout.write(
                f"{one['id']:>5}  {one['candidate']} on {one['route']}: {one['state']}, {one['share']} %\n       {why}"
            )
        if not found:
            self.stdout.write("No canary yet: manage.py canary start ROUTE --deployment SLUG")

    def _advance(self, options: dict[str, Any]) -> None:
        row = advance(canary=_canary(options["canary"]), force=options["force"], by=BY)
        self.stdout.write(f"✓ {row}: {row.get_state_display().lower()}, {report_of(row)['share']} %")

    def _pause(self, options: dict[str, Any]) -> None:
        self._noted(pause, options)

    def _resume(self, options: dict[str, Any]) -> None:
        self._noted(resume, options)

    def _rollback(self, options: dict[str, Any]) -> None:
        self._noted(roll_back, options)

    def _noted(self, verb: Callable[..., Canary], options: dict[str, Any]) -> None:
        row = verb(canary=_canary(options["canary"]), by=BY, note=options["note"])
        self.stdout.write(f"✓ {row}: {row.get_state_display().lower()}, {report_of(row)['share']} %")


def _add_scores(start: CommandParser) -> None:
    start.add_argument("--scorer", help="scores a sample of both sides' answers, such as judge:route=big")
    for name, about in SCORES.items():
        usual = getattr(USUAL, name)
        option = f"--score-{name.replace('_', '-')}"
        start.add_argument(option, type=type(usual), default=usual, help=f"{about} (default: {usual:g})")


def route_of(name: str, tenant: str | None) -> Route:
    """Of that tenant, or the platform's. Raises CommandError."""
    found = (
        Route.objects.filter(name=name, tenant__slug=tenant) if tenant else Route.objects.filter(name=name, tenant=None)
    )
    route = found.first()
    if route is None:
        raise CommandError(
            f"There is no route {name}{f' of {tenant}' if tenant else ' of the platform (give --tenant)'}."
        )
    return route


def candidate_of(route: Route, deployment: str | None, version: int | None) -> Deployment | PolicyVersion:
    """The deployment with this slug, else this version of the route's policy. Raises CommandError."""
    found: Deployment | PolicyVersion | None
    if deployment:
        found = Deployment.objects.filter(slug=deployment).first()
    else:
        found = PolicyVersion.objects.filter(policy=route.policy, number=version or 0).first()
    if found is None:
        raise CommandError("There is no such candidate.")
    return found


def _canary(number: int) -> Canary:
    row = Canary.objects.filter(pk=number).first()
    if row is None:
        raise CommandError(f"There is no canary {number}: manage.py canary status lists them.")
    return row


def _stages(given: str | None) -> list[int] | None:
    if given is None:
        return None
    try:
        return [int(one) for one in given.split(",")]
    except ValueError:
        raise CommandError("--stages must be whole percentages that rise, such as 1,5,25.") from None
