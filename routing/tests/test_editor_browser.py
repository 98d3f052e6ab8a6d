"""The policy editor in a real browser: a mistake is shown where it stands, a repair saved, the result live."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from conftest import Shells, unique
from routing import services
from routing.models import Policy
from tenants.models import Tenant, User

# WhiteNoise streams static files to ASGI in a way that Django warns about, and closes late what a browser left.
pytestmark = [
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def may_query_beside_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's sync API runs an event loop in this thread, at which Django would refuse to query."""
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")


@pytest.fixture(scope="module")
def policy(tenant_a: Tenant) -> Policy:
    services.import_policy(tenant=tenant_a, slug=unique("edited"), text=services.STARTER, activated=True)
    return Policy.objects.filter(tenant=tenant_a).latest("pk")


@pytest.fixture
def page(chromium: str, shells: Shells, policy: Policy, may_query_beside_the_browser: None) -> Iterator[Any]:
    client = Client()
    client.force_login(User.objects.create_superuser(unique("staff")))
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(base_url=shells.drf, viewport={"width": 1280, "height": 900})
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": shells.drf}])
        opened = context.new_page()
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        browser.close()
        assert errors == []


def test_a_policy_is_broken_repaired_saved_and_activated(page: Any, policy: Policy) -> None:
    page.goto(f"/admin/routing/policy/{policy.pk}/change/?tenant=acme")
    editor = page.get_by_label("Policy document")

    editor.fill(services.STARTER.replace("lane: short", "lane: middle"))
    page.get_by_text("must be one of short, long").wait_for()
    line = services.STARTER.splitlines().index("  lane: short") + 1
    assert page.locator(".policy-gutter .bad").inner_text() == str(line)
    page.get_by_role("button", name=f"Line {line}").click()
    assert editor.evaluate("area => area.value.slice(area.selectionStart, area.selectionEnd)") == "  lane: middle"

    editor.fill(services.STARTER.replace("max_tokens: 512", "max_tokens: 640"))
    page.get_by_text("defaults.max_tokens: 512 → 640.").wait_for()
    assert page.locator("#state").inner_text() == "Valid"

    page.keyboard.press("Control+s")
    page.get_by_text("v2 draft", exact=True).wait_for()
    page.get_by_role("link", name="Review and activate").click()
    page.get_by_role("button", name="Activate v2").click()
    page.get_by_text("v2 active").first.wait_for()
    policy.refresh_from_db()
    assert policy.active_version == 2

    page.get_by_role("button", name="Undo: back to v1").click()
    page.get_by_text("Live traffic uses v3").wait_for()


def test_tab_indents_and_escape_lets_it_leave(page: Any, policy: Policy) -> None:
    page.goto(f"/admin/routing/policy/{policy.pk}/change/?tenant=acme")
    editor = page.get_by_label("Policy document")
    editor.fill("a:\nb: 1")
    page.keyboard.press("Control+End")
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    assert editor.input_value() == "a:\n  b: 1"
    page.keyboard.press("Shift+Tab")
    assert editor.input_value() == "a:\nb: 1"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert not editor.evaluate("area => area === document.activeElement")


def test_a_phone_needs_no_sideways_scroll(page: Any, policy: Policy) -> None:
    page.set_viewport_size({"width": 400, "height": 800})
    for path in (f"{policy.pk}/change/", "", f"{policy.pk}/activate/&version=1"):
        page.goto(f"/admin/routing/policy/{path.partition('&')[0]}?tenant=acme&{path.partition('&')[2]}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
