"""The viewer in a real browser: peek, keys, the live pill, and no sideways scroll on a phone."""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django_tenants.utils import tenant_context

from conftest import Shells, unique
from tenants.services import create_tenant
from traces.models import Trace
from traces.tests.rows import make_trace

# WhiteNoise streams static files to ASGI in a way that Django warns about, and closes late what a browser left.
pytestmark = [
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def traffic(committed: None) -> Any:
    """A tenant of its own, because these rows are committed for the server to see."""
    slug = unique("viewer")
    tenant = create_tenant(slug=slug, name="Viewer test")
    for minute in range(60):
        make_trace(tenant, age=timedelta(minutes=minute + 1), prompt_line=f"Question {minute}.")
    return tenant


@pytest.fixture(scope="module")
def session_cookie(traffic: Any) -> str:
    user = get_user_model().objects.create_superuser(unique("staff"), password="secret")
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


@pytest.fixture
def page(chromium: str, session_cookie: str, shells: Shells) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = browser.new_context(base_url=shells.drf, viewport={"width": 1280, "height": 800})
        context.add_cookies([{"name": "sessionid", "value": session_cookie, "url": shells.drf}])
        opened = context.new_page()
        errors: list[str] = []
        opened.on("pageerror", lambda error: errors.append(str(error)))
        yield opened
        browser.close()
        assert errors == []


@pytest.fixture(autouse=True)
def may_query_beside_the_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright's sync API runs an event loop in this thread, at which Django would refuse to query."""
    monkeypatch.setitem(os.environ, "DJANGO_ALLOW_ASYNC_UNSAFE", "true")


def test_a_row_opens_below_itself_and_then_as_a_page(page: Any, traffic: Any) -> None:
    page.goto(f"/admin/traces/?tenant={traffic.slug}")
    page.locator("tr.row .relay-fold").first.click()
    page.get_by_text("policy chat-default v3").wait_for()

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="What happened").wait_for()
    assert page.get_by_text("It arrives on Monday.").count() >= 1
    page.keyboard.press("]")
    page.wait_for_url(lambda url: "/admin/traces/" in url)


def test_new_traces_are_announced_and_move_nothing(page: Any, traffic: Any) -> None:
    page.goto(f"/admin/traces/?tenant={traffic.slug}")
    first = page.locator("tr.row a").first.inner_text()
    make_trace(traffic, age=timedelta(0), prompt_line="The newest question.")

    page.keyboard.press("l")

    page.get_by_role("link", name="1 new").wait_for()
    assert page.locator("tr.row a").first.inner_text() == first
    page.get_by_role("link", name="1 new").click()
    page.get_by_text("The newest question.").wait_for()
    with tenant_context(traffic):
        Trace.objects.filter(prompt_line="The newest question.").delete()


@pytest.mark.parametrize("width", [1280, 400])
def test_no_page_scrolls_sideways(page: Any, traffic: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    with tenant_context(traffic):
        trace = Trace.objects.first()
    assert trace is not None

    for path in ("/admin/", "/admin/traces/", f"/admin/traces/{trace.pk}/"):
        page.goto(f"{path}?tenant={traffic.slug}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
