"""manage.py eval_dataset import questions.jsonl --tenant acme --name questions"""

import random
import re
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django_tenants.utils import tenant_context

from evals.core.rows import MOST_BYTES, MOST_ROWS, DatasetInvalid, without_reference
from evals.datasets import add_version, bundled, import_bundled, read_file
from evals.mining import Wish, mine
from evals.models import Dataset, DatasetVersion
from routing.management.lookup import tenant_named
from traces.models import Trace

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Command(BaseCommand):
    help = (
        "Data sets of a tenant: import a file (JSON lines or CSV), take a bundled one, or mine its traces. Columns:"
        f" prompt or messages, system, reference, category, schema, parameters. At most {MOST_BYTES // 1024**2} MB and"
        f" {MOST_ROWS:,} rows; a file with a problem is refused whole."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="import | bundled | mine | list")
        file = _action(actions, "import", "store a file as a new version")
        file.add_argument("file", type=Path)
        file.add_argument("--name", required=True, help="the data set; it is made if there is none")
        ready = _action(actions, "bundled", f"store one that comes with Relay: {', '.join(bundled())}")
        ready.add_argument("name", choices=list(bundled()))
        mined = _action(actions, "mine", "store a redacted sample of what the tenant's clients asked")
        mined.add_argument("--name", required=True, help="the data set; it is made if there is none")
        mined.add_argument("--since", default="7d", help="like 90m, 24h, 7d (default: 7d)")
        mined.add_argument("--route", default="", help="only what was asked of this model name")
        mined.add_argument("--outcome", default="", choices=["", *Trace.Outcome.values])
        mined.add_argument("--task", default="", help="only this kind of work, as traces tell it")
        mined.add_argument("--most", type=int, default=100, help="prompts (default: 100)")
        _action(actions, "list", "tell which there are")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant = tenant_named(options["tenant"])
        if tenant is None:
            raise CommandError("--tenant must name a tenant.", returncode=2)
        act = {"import": self._import, "bundled": self._bundled, "mine": self._mine, "list": self._list}
        try:
            with tenant_context(tenant):
                act[options["action"]](options)
        except DatasetInvalid as error:
            raise CommandError(
                "\n".join([f"Nothing was stored: {error.told}.", *error.problems]), returncode=2
            ) from error
        except ValidationError as error:
            raise CommandError(f"Nothing was stored. {' '.join(error.messages)}", returncode=2) from error

    def _import(self, options: dict[str, Any]) -> None:
        path: Path = options["file"]
        try:
            with path.open("rb") as file:
                rows = read_file(file, path.name)
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.", returncode=2) from error
        missing = without_reference(rows)
        if missing:
            self.stderr.write(f"{len(missing):,} rows have no reference (row {missing[0]} is the first).")
        self._tell(*add_version(
            slug=options["name"],
            rows=rows,
            source=DatasetVersion.Source.UPLOAD,
            origin=path.name,
            created_by="command",
        ))  # fmt: skip

    def _bundled(self, options: dict[str, Any]) -> None:
        self._tell(*import_bundled(options["name"], created_by="command"))

    def _mine(self, options: dict[str, Any]) -> None:
        match = re.fullmatch(r"(\d{1,4})([mhd])", options["since"])
        if match is None:
            raise CommandError("--since must look like 90m, 24h or 7d.", returncode=2)
        since = timezone.now() - timedelta(**{UNITS[match[2]]: int(match[1])})
        wish = Wish(since, options["route"], options["outcome"], options["task"], options["most"])
        mined = mine(wish, random.Random())
        if not mined.rows:
            raise CommandError(f"No trace with its prompt fits: {wish.words}.", returncode=2)
        self.stderr.write(mined.words)
        self._tell(*add_version(
            slug=options["name"],
            rows=mined.rows,
            source=DatasetVersion.Source.TRACES,
            origin=wish.words,
            created_by="command",
        ))  # fmt: skip

    def _list(self, options: dict[str, Any]) -> None:
        for dataset in Dataset.objects.prefetch_related("versions"):
            newest = dataset.versions.all()[0]
            self.stdout.write(f"{dataset.slug}@{newest.number}  {newest.size:,} rows  {newest.origin}")

    def _tell(self, version: DatasetVersion, is_new: bool) -> None:
        same = "" if is_new else " (the same content was there already)"
        self.stdout.write(f"{version.dataset.slug}@{version.number}: {version.size:,} rows{same}")


def _action(actions: Any, name: str, about: str) -> ArgumentParser:
    parser: ArgumentParser = actions.add_parser(name, help=about)
    parser.add_argument("--tenant", default="default", help="its slug")
    return parser
