"""`manage.py demo_routing`: where requests go, with the seeded free tiers, and what they cost."""

import asyncio
import json
import sys
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from relay_project.embedded.console import Console
from relay_project.routing_demo.play import Outcome, play
from relay_project.routing_demo.scenarios import SCENARIOS, Scenario
from relay_project.routing_demo.stage import NoRoom, local_providers

BAR = 40


class Command(BaseCommand):
    help = (
        "Play five scenarios through the real pipeline: mock providers with the seeded free-tier limits, a virtual"
        " clock, no money spent. Nothing of your data is touched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        names = [scenario.name for scenario in SCENARIOS]
        parser.add_argument("scenario", nargs="?", choices=[*names, "all"], default="all", help="One of them, or all.")
        parser.add_argument("--no-input", action="store_true", help="Do not wait for Enter between scenarios.")
        parser.add_argument(
            "--json", action="store_true", help="A list of {scenario, requests, by_provider, failed, cost_usd}."
        )

    def handle(self, *args: Any, scenario: str, **options: Any) -> None:
        self.console = Console(sys.stderr if options["json"] else sys.stdout)
        waits = sys.stdin.isatty() and not options["no_input"] and not options["json"]
        chosen = [one for one in SCENARIOS if scenario in ("all", one.name)]
        outcomes = []
        for number, one in enumerate(chosen):
            if number and waits:
                input("\nEnter for the next one ")
            outcomes.append(self.play(one, quiet=options["json"]))
        if options["json"]:
            self.stdout.write(json.dumps([outcome.as_json() for outcome in outcomes]))
        failed = sum(outcome.failures.total() for outcome in outcomes)
        if failed:
            raise CommandError(f"{failed} requests failed; the reasons stand above.")

    def play(self, scenario: Scenario, *, quiet: bool) -> Outcome:
        try:
            with self.console.step(scenario.title, scenario.title) as step:
                outcome = asyncio.run(play(scenario, lambda number: step.tick()))
        except NoRoom as error:
            raise CommandError(str(error)) from error
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer ({error}). Start Relay with `make dev`.") from error
        for reason, times in outcome.failures.most_common():
            self.console.line(f"  {times} failed: {reason}")
        if not quiet:
            self.show(outcome)
        return outcome

    def show(self, outcome: Outcome) -> None:
        say = self.console.line
        say(f"  {outcome.scenario.told}")
        total = max(1, outcome.by_provider.total())
        for provider, times in outcome.by_provider.most_common():
            kinds = [f"{found[provider]} {kind}" for kind, found in outcome.by_kind.items() if found[provider]]
            where = ", local" if provider in local_providers() else ""
            say(f"  {provider:<12}{'█' * round(BAR * times / total):<{BAR}} {times:>4}  {', '.join(kinds)}{where}")
        tokens_in, tokens_out = outcome.tokens
        cost = outcome.cost_microusd / 1_000_000
        say(f"  {outcome.failures.total()} failed · ${cost:.2f} for {tokens_in + tokens_out:,} tokens")
        if outcome.scenario.name == "cost":
            for model, dollars in outcome.paid():
                say(f"  {model:<42} would have cost ${dollars:.4f}")
