"""`manage.py loadtest`: Locust with its page, as several tenants, against the Relay of `make dev`."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from evals.core.load import Report, Step
from evals.load.services import record_load_run
from relay_project.loadgen.target import check_target
from tenants.models import ApiKey, Tenant
from tenants.services import create_api_key, create_tenant, revoke_api_key

LOCUST = settings.BASE_DIR / ".venv-load" / "bin" / "locust"
LOCUSTFILE = settings.BASE_DIR / "bench" / "locustfile.py"
KEYS_PER_TENANT = 2
KEY_LIFE = timedelta(days=1)  # of keys that a kill left behind
LIVE_WITHIN_S = 15.0


class Command(BaseCommand):
    help = (
        "Locust against a running `make dev`: keys of several tenants; short, long, repeated and streaming requests."
        " Open the page, or say --headless. `make loadtest` installs Locust and runs this."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--headless", action="store_true", help="Begin at once and end after --run-time, without the page.")
        add("--users", type=int, default=20, help="Clients at the same time.")
        add("--spawn-rate", type=float, default=5.0, help="New clients a second.")
        add("--run-time", default="60s", help="Like 60s, 5m.")
        add("--tenants", type=int, default=3, help="Tenants load-1, load-2, … are made where they are missing.")
        add("--model", default="mock", help="Model or route that is asked.")
        add("--url", default=f"http://127.0.0.1:{settings.PORT}", help="Where Relay runs.")
        add("--web-port", type=int, default=8089, help="Of Locust's page, on 127.0.0.1.")
        add("--name", default="", help="What the runs are called in the console.")
        add("--locust", type=Path, default=LOCUST, help="Locust's program.")

    def handle(self, *args: Any, **options: Any) -> None:
        url, locust = options["url"].rstrip("/"), options["locust"]
        if not settings.DEBUG:
            raise CommandError("This makes tenants and keys: it is for `make dev`. Elsewhere use loadgen with a key.")
        if not 1 <= options["users"] <= 1000 or not 1 <= options["tenants"] <= 20:
            raise CommandError("--users must be 1 to 1,000 and --tenants 1 to 20.")
        if not locust.exists():
            raise CommandError(f"{locust} is missing. `make loadtest` installs it.")
        check_target(url, remote=False)
        with keys_of(options["tenants"]) as keys:
            for key in keys:
                wait_until_live(url, key, options["model"])
            if not options["headless"]:
                self.stderr.write(f"Locust's page: http://127.0.0.1:{options['web_port']} (Ctrl-C ends it)")
            kept = self.run(arguments(options, url), environment(options, keys), options)
        if not kept and options["headless"]:
            raise CommandError("Locust ended without a run; its lines above say why.")

    def run(self, command: list[str], env: dict[str, str], options: dict[str, Any]) -> int:
        """Keeps each run when it ends; how many there were. Ctrl-C is Locust's: it ends, and so does this;
        SIGTERM is passed on to it."""
        reading, writing = os.pipe()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        kept = 0
        try:
            with subprocess.Popen(
                command,
                env=env | {"RELAY_LOAD_REPORTS": str(writing)},
                pass_fds=[writing],
                cwd=settings.BASE_DIR,
                preexec_fn=_heeds_ctrl_c,
            ) as locust:
                signal.signal(signal.SIGTERM, lambda *_: locust.terminate())
                os.close(writing)
                with open(reading) as reports:
                    for line in reports:
                        self.keep(json.loads(line), options)
                        kept += 1
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return kept

    def keep(self, told: dict[str, Any], options: dict[str, Any]) -> None:
        given = {name: options[name] for name in ("model", "tenants", "url")}
        report = told["report"] | {"timeline": tuple(Step(**step) for step in told["report"]["timeline"])}
        run = record_load_run(
            name=options["name"] or f"Locust, {told['options']['users']} users",
            tool="locust",
            started_at=datetime.fromtimestamp(told["started_at"], UTC),
            options=told["options"] | given,
            report=Report(**report),
        )
        summary = {name: getattr(run, name) for name in ("requests", "qps", "p50_ms", "p95_ms", "p99_ms", "errors")}
        self.stdout.write(json.dumps(summary))


def arguments(options: dict[str, Any], url: str) -> list[str]:
    shown = ["--headless", "--only-summary"] if options["headless"] else []
    shown = shown or ["--web-host", "127.0.0.1", "--web-port", str(options["web_port"])]
    sized = ["--users", str(options["users"]), "--spawn-rate", str(options["spawn_rate"])]
    timed = ["--run-time", options["run_time"], "--stop-timeout", "10"]
    return [str(options["locust"]), "-f", str(LOCUSTFILE), "--host", url, *sized, *timed, *shown]


def environment(options: dict[str, Any], keys: list[str]) -> dict[str, str]:
    """Only what Locust needs: this process's own environment holds Relay's secrets."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TERM", "TMPDIR") if name in os.environ}
    told = {"RELAY_LOAD_KEYS": json.dumps(keys), "RELAY_LOAD_MODEL": options["model"]}
    return inherited | told | {"PYTHONPATH": str(settings.BASE_DIR)}


@contextmanager
def keys_of(tenants: int) -> Iterator[list[str]]:
    """New keys of that many tenants; they are revoked at the end."""
    rows: list[ApiKey] = []
    keys: list[str] = []
    now = timezone.now()
    try:
        for number in range(1, tenants + 1):
            slug = f"load-{number}"
            found = Tenant.objects.filter(slug=slug).first()
            tenant = found or create_tenant(slug=slug, name=f"Load test {number}")
            for one in range(KEYS_PER_TENANT):
                name = f"loadtest {now:%Y-%m-%d %H:%M:%S.%f} {one + 1}"
                row, key = create_api_key(
                    tenant=tenant, name=name, scopes=["chat", "models"], expires_at=now + KEY_LIFE
                )
                rows.append(row)
                keys.append(key)
        yield keys
    finally:
        for row in rows:
            revoke_api_key(key=row)


def wait_until_live(url: str, key: str, model: str) -> None:
    """Raises CommandError if the key is not known in time or may not ask this model."""
    request = Request(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    deadline = time.monotonic() + LIVE_WITHIN_S
    while True:
        try:
            with urlopen(request, timeout=5) as answer:
                models = {one["id"] for one in json.load(answer)["data"]}
            break
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise CommandError(f"{url} does not know a new key ({error}). Is this its database?") from error
            time.sleep(0.2)
    if model not in models:
        raise CommandError(f"The tenants may not ask “{model}”, only {', '.join(sorted(models)) or 'nothing'}.")


def _heeds_ctrl_c() -> None:
    """In the child: what this process ignores it would ignore, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
