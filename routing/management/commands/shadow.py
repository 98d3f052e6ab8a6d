"""`manage.py shadow start | status | stop`: the same as the console."""

import json
from datetime import timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from routing.management.commands.canary import BY, candidate_of, route_of
from routing.models import Shadow
from routing.shadows.form import MICRO
from routing.shadows.page import page_of
from routing.shadows.services import start_shadow, stop_shadow
from traces.core.formats import money

ENDED = 10  # how many of those that ended are listed


class Command(BaseCommand):
    help = "Copy requests of a route to a candidate, off the clients' path, and compare."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        start = verbs.add_parser("start", help="copy requests to a candidate")
        start.add_argument("route")
        tried = start.add_mutually_exclusive_group(required=True)
        tried.add_argument("--deployment", help="its slug")
        tried.add_argument("--policy-version", type=int, help="of the route's policy")
        start.add_argument("--tenant", help="whose route (default: the platform's)")
        start.add_argument("--percent", type=float, default=10.0, help="of requests (default: 10)")
        start.add_argument("--dollars", type=float, required=True, help="most that the copies may cost a day (UTC)")
        start.add_argument("--concurrent", type=int, default=4, help="most copies under way (default: 4)")
        start.add_argument("--similarity", action="store_true", help="also compare answers by meaning")
        start.add_argument("--days", type=float, help="for how long (default: until it is stopped)")
        status = verbs.add_parser("status", help="what is live, and the newest that ended")
        status.add_argument("--json", action="store_true")
        stop = verbs.add_parser("stop", help="nothing is copied any more")
        stop.add_argument("shadow", type=int)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None

    def _start(self, options: dict[str, Any]) -> None:
        route = route_of(options["route"], options["tenant"])
        candidate = candidate_of(route, options["deployment"], options["policy_version"])
        kept = {name: options[name] for name in ("percent", "concurrent", "similarity")}
        until = timezone.now() + timedelta(days=options["days"]) if options["days"] else None
        budget = round(options["dollars"] * MICRO)
        row = start_shadow(route=route, candidate=candidate, budget_microusd=budget, until=until, by=BY, **kept)
        self.stdout.write(f"✓ Shadow {row.pk}: {row.name} gets copies of {row.percent:g} % of {row.route.name}")

    def _status(self, options: dict[str, Any]) -> None:
        rows = list(Shadow.objects.select_related("route__tenant"))
        live = [row for row in rows if row.live]
        found = [_told(row) for row in (*live, *[row for row in rows if not row.live][:ENDED])]
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        for one in found:
            head = f"{one['id']:>5}  {one['candidate']} beside {one['route']}: {one['state']}, {one['pairs']:,} pairs"
            self.stdout.write(f"{head}, {money(one['spent_today_microusd'])} today")
            for line in one["figures"]:
                said = (line["figure"], line["base"], line["candidate"], line["change"], line["verdict"])
                self.stdout.write("       {:<12}{:>10} → {:<10}{}; {}".format(*said))
        if not found:
            self.stdout.write("No shadow yet: manage.py shadow start ROUTE --deployment SLUG --dollars 1")

    def _stop(self, options: dict[str, Any]) -> None:
        row = Shadow.objects.filter(pk=options["shadow"]).first()
        if row is None:
            raise CommandError(f"There is no shadow {options['shadow']}: manage.py shadow status lists them.")
        said = "stopped" if stop_shadow(shadow=row) else "was stopped before"
        self.stdout.write(f"✓ {row}: {said}")


def _told(row: Shadow) -> dict[str, Any]:
    page = page_of(row)
    names = ("name", "base", "candidate", "change", "verdict")
    return {
        "id": row.pk,
        "route": row.route.name,
        "tenant": row.route.tenant.slug if row.route.tenant else None,
        "candidate": row.name,
        "state": "running" if row.live else "ended",
        "percent": row.percent,
        "pairs": page.pairs,
        "spent_today_microusd": page.spent_today,
        "budget_microusd": row.budget_microusd,
        "figures": [{"figure" if name == "name" else name: getattr(one, name) for name in names} for one in page.lines],
        "dropped": dict(page.dropped),
        "problem": page.problem or None,
    }
