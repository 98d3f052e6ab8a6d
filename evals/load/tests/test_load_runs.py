"""Load runs in the console: figures and charts for staff; nobody else learns that there are any."""

from datetime import UTC, datetime
from typing import Any

import pytest

from conftest import SignIn, unique
from evals.core.load import Answer, report_of
from evals.load.models import LoadRun
from evals.load.services import record_load_run

pytestmark = pytest.mark.django_db
LIST = "/admin/load/loadrun/"


def made(answers: list[Answer] | None = None, **more: Any) -> LoadRun:
    given = answers or [Answer(second + part / 10, 40.0 + second) for second in range(5) for part in range(10)]
    report = report_of(given, 5.0)
    values = {"name": unique("run"), "tool": "loadgen", "options": {"qps": "10.0", "model": "mock"}} | more
    return record_load_run(started_at=datetime(2026, 11, 21, 10, 0, tzinfo=UTC), report=report, **values)


def test_staff_reads_how_a_load_went(sign_in: SignIn) -> None:
    run = made([Answer(0.5, 12.0), Answer(1.5, 1240.0), Answer(2.5, 30.0, "429 queue_full")])
    page = sign_in(None).get(f"{LIST}{run.pk}/change/").content.decode()
    assert "sent 3 requests in 5 s" in page.replace("5.00 s", "5 s") and "1 failed" in page
    assert "1.24 s" in page and "<code>429 queue_full</code>" in page and "Started 21 Nov 2026 10:00:00 UTC" in page
    assert page.count("<path data-group=") == 3
    rows = sign_in(None).get(f"{LIST}?q={run.name}").content.decode()
    assert run.name in rows and "1 failed (33.3%)" in rows


def test_a_load_without_failures_says_so(sign_in: SignIn) -> None:
    run = made()
    client = sign_in(None)
    assert "No request failed." in client.get(f"{LIST}{run.pk}/change/").content.decode()
    assert "No errors" in client.get(f"{LIST}?q={run.name}").content.decode()


def test_a_load_that_nobody_answered_has_no_latency(sign_in: SignIn) -> None:
    run = made([Answer(1.0, 1.0, "connection refused")])
    page = sign_in(None).get(f"{LIST}{run.pk}/change/").content.decode()
    assert "p95 –" in page


@pytest.mark.parametrize("role", ["viewer", "owner"])
def test_a_tenants_people_find_nothing(sign_in: SignIn, role: str) -> None:
    run, client = made(), sign_in(role)
    assert client.get(f"{LIST}{run.pk}/change/").status_code in (403, 404)
    assert client.get(LIST).status_code == 403
    assert "Load runs" not in client.get("/admin/").content.decode()
    assert "Load runs" in sign_in(None).get("/admin/").content.decode()


def test_nobody_edits_what_was_measured(sign_in: SignIn) -> None:
    run, client = made(), sign_in(None)
    assert client.post(f"{LIST}{run.pk}/change/", {"name": "better"}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
    run.refresh_from_db()
    assert run.name != "better"


def test_names_are_shown_as_text(sign_in: SignIn) -> None:
    run = made([Answer(1, 1, "<script>x</script>")], name="<b>bold</b>")
    page = sign_in(None).get(f"{LIST}{run.pk}/change/").content.decode()
    assert "<script>x" not in page and "<b>bold" not in page


def test_without_any_run_the_page_says_how_to_make_one(sign_in: SignIn) -> None:
    LoadRun.objects.all().delete()
    assert "manage.py loadgen --qps" in sign_in(None).get(LIST).content.decode()
