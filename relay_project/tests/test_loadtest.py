"""`manage.py loadtest` around Locust: keys that live as long as the load, and a row for each run."""

import json
import stat
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from conftest import Shells, eventually, unique
from evals.core.load import Answer, report_of
from evals.load.models import LoadRun
from relay_project.embedded.ports import free_port
from relay_project.management.commands.loadtest import keys_of
from tenants.models import ApiKey

TOLD = {
    "started_at": 1_800_000_000.5,
    "options": {"users": 7, "run time": "3s"},
    "report": report_of([Answer(0.5, 20.0), Answer(1.5, 30.0, "503 providers_failed")], 3.0).as_json(),
}
ASKS = """
import json, os, sys, urllib.request
host = sys.argv[sys.argv.index("--host") + 1]
for key in json.loads(os.environ["RELAY_LOAD_KEYS"]):
    asked = urllib.request.Request(host + "/v1/models", headers={"Authorization": "Bearer " + key})
    urllib.request.urlopen(asked).close()
"""
REPORTS = f"os.write(int(os.environ['RELAY_LOAD_REPORTS']), {json.dumps(TOLD)!r}.encode() + b'\\n')\n"


@pytest.fixture
def stands_in(tmp_path: Path) -> Any:
    """In the place of Locust, which lives in an environment of its own: a program that does this."""

    def write(text: str) -> Path:
        path, script = tmp_path / "locust", tmp_path / "locust.py"
        script.write_text(text)
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


def run(url: str, locust: Path, **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    given = {"headless": True, "tenants": 1, "model": "mock"} | options
    with override_settings(DEBUG=True):
        call_command("loadtest", url=url, locust=locust, stdout=out, stderr=err, **given)
    return out.getvalue(), err.getvalue()


def test_each_run_is_kept_and_its_keys_are_gone_afterwards(shells: Shells, stands_in: Any) -> None:
    before, name = set(ApiKey.objects.values_list("pk", flat=True)), unique("load")
    out, err = run(shells.express, stands_in(ASKS + REPORTS), name=name, headless=False)
    kept = LoadRun.objects.get(name=name)
    assert (kept.tool, kept.requests, kept.failed, kept.started_at.year) == ("locust", 2, 1, 2027)
    assert kept.options == {"users": 7, "run time": "3s", "model": "mock", "tenants": 1, "url": shells.express}
    assert json.loads(out.splitlines()[-1])["errors"] == {"503 providers_failed": 1} and "127.0.0.1:8089" in err
    made = ApiKey.objects.exclude(pk__in=before)
    assert made.count() == 2 and not made.filter(revoked_at=None).exists()


def test_locust_that_ends_without_a_run_is_said_and_its_keys_are_gone(shells: Shells, stands_in: Any) -> None:
    before = set(ApiKey.objects.values_list("pk", flat=True))
    with pytest.raises(CommandError, match="ended without a run"):
        run(shells.express, stands_in("raise SystemExit(2)"))
    assert eventually(lambda: not ApiKey.objects.exclude(pk__in=before).filter(revoked_at=None).exists())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"users": 0}, "--users"),
        ({"tenants": 99}, "--tenants"),
        ({"locust": Path("/nowhere/locust")}, "make loadtest"),
        ({"url": f"http://127.0.0.1:{free_port()}"}, "does not answer"),
        ({"url": "http://192.0.2.1:8000"}, "not this machine"),
    ],
)
def test_what_cannot_be_is_refused_by_name(stands_in: Any, options: dict[str, Any], said: str) -> None:
    given = {"url": "http://127.0.0.1:1", "locust": stands_in("")} | options
    with pytest.raises(CommandError, match=said):
        run(**given)


def test_two_may_begin_in_the_same_second(committed: None) -> None:
    with keys_of(1) as some, keys_of(1) as others:
        assert len({*some, *others}) == len(some) + len(others)


def test_a_model_that_is_not_offered_is_said_at_once(shells: Shells, stands_in: Any) -> None:
    with pytest.raises(CommandError, match="may not ask “nothing-like-it”"):
        run(shells.express, stands_in(""), model="nothing-like-it")


def test_it_is_for_development_only(stands_in: Any) -> None:
    with override_settings(DEBUG=False), pytest.raises(CommandError, match="make dev"):
        call_command("loadtest", locust=stands_in(""))
