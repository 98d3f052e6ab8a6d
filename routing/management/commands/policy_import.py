"""manage.py policy_import policies/policy.demo.yaml --activate"""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from routing.activation import NotProven, activate_proven
from routing.core.policy import PolicyInvalid
from routing.documents import problems_of
from routing.management.lookup import tenant_named
from routing.models import PolicyVersion
from routing.services import Conflict, import_policy


class Command(BaseCommand):
    help = "Save a YAML file as a new version of a policy. The same text again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="a YAML file, or - for stdin")
        parser.add_argument("--tenant", default="", help="whose policy (default: the platform's, for everybody)")
        parser.add_argument(
            "--slug", default="", help="the policy's name (default: the file's, policy.demo.yaml is demo)"
        )
        parser.add_argument("--activate", action="store_true", help="live traffic uses it within a second")
        parser.add_argument("--override", default="", help="why to activate it though its replay is worse")
        parser.add_argument("--note", default="", help="what and why")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant, slug = tenant_named(options["tenant"]), options["slug"] or slug_of(options["file"])
        text = read(options["file"])
        try:
            version, is_new = import_policy(
                tenant=tenant,
                slug=slug,
                text=text,
                note=options["note"],
                author="command line",
            )
        except PolicyInvalid as error:
            lines = [
                f"  line {item.line or 1}  {item.path or 'document'}: {item.message}" for item in problems_of(text)
            ]
            raise CommandError(
                "Nothing was saved, the policy has problems:\n" + "\n".join(lines or [str(error)])
            ) from error
        except ValidationError as error:
            raise CommandError(f"Nothing was saved. {'; '.join(error.messages)}") from error
        except Conflict as error:
            raise CommandError(f"Nothing was saved. {error} Run it again.") from error
        state = "saved" if is_new else "is the newest already"
        if options["activate"] and version.policy.active_version != version.number:
            self.activate(version, options)
        self.stdout.write(f"✓ Policy {slug} v{version.number} {state}{' and active' if options['activate'] else ''}")

    def activate(self, version: PolicyVersion, options: dict[str, Any]) -> None:
        policy, said = version.policy, f"v{version.number} is saved but not active."
        try:
            _, proof = activate_proven(
                policy=policy,
                number=version.number,
                expected=policy.active_version,
                note=options["note"],
                by="command line",
                override=options["override"],
            )
        except NotProven as error:
            raise CommandError(
                f"{said} It is worse in its replay: {error} `--override REASON` activates it all the same."
            ) from error
        except Conflict as error:
            raise CommandError(f"{said} {error} Run it again.") from error
        replayed = f"{proof.sample} requests replayed: " if proof.sample else ""
        self.stdout.write(f"{replayed}{proof.get_verdict_display()}. {proof.report['why']}")


def slug_of(file: str) -> str:
    if file == "-":
        raise CommandError("With stdin, say --slug NAME.")
    parts = [part for part in Path(file).name.lower().split(".") if part not in {"policy", "yaml", "yml"}]
    return "-".join(parts)


def read(file: str) -> str:
    try:
        return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} can't be read as UTF-8 text: {error}") from error
