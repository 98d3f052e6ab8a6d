from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from relay_project.metrics import warn_if_partial

TOKEN = "a-token-of-the-operator"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("token", "debug", "sent", "status"),
    [
        ("", True, "", 200),
        ("", False, "", 404),
        ("", False, "Bearer ", 404),
        (TOKEN, True, "", 404),
        (TOKEN, False, "Bearer another", 404),
        (TOKEN, False, f"Bearer {TOKEN}", 200),
    ],
)
def test_only_the_operator_reads_what_names_every_tenants_routes(
    settings: Any, token: str, debug: bool, sent: str, status: int
) -> None:
    settings.RELAY_METRICS_TOKEN, settings.DEBUG, settings.SECURE_SSL_REDIRECT = token, debug, False
    answer = Client().get("/metrics", headers={"Authorization": sent})
    assert answer.status_code == status
    assert ("relay_route_requests_total" in answer.content.decode()) == (status == 200)


@pytest.mark.parametrize(
    ("processes", "directory", "warned"),
    [("2", None, True), ("2", Path("/shared"), False), ("1", None, False), ("", None, False), ("many", None, False)],
)
def test_several_processes_without_a_shared_directory_are_warned_of(
    caplog: pytest.LogCaptureFixture, processes: str, directory: Path | None, warned: bool
) -> None:
    warn_if_partial({"WEB_CONCURRENCY": processes}, directory)
    assert ("PROMETHEUS_MULTIPROC_DIR is not set" in caplog.text) == warned
