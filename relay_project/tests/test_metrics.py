from typing import Any

import pytest
from django.test import Client

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
