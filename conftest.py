"""What all tests share: the migrated database of this run, two tenants, and a whole Relay to talk to over HTTP.

Rows that a server must see are committed; tests that write them use names of their own (``unique``), so that no test
minds what others left.
"""

import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.request import urlopen

import pytest
import uvicorn
from hypothesis import HealthCheck, settings

from relay_project.embedded.ports import free_port

T = TypeVar("T")
SignIn = Callable[..., Any]
_numbers = itertools.count(1)
# Whether a property holds does not depend on how busy the machine is.
settings.register_profile("relay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")


def unique(word: str) -> str:
    return f"{word}-{os.getpid()}-{next(_numbers)}"


def eventually(look: Callable[[], T], *, within_s: float = 60.0) -> T:
    """The first truthy result; fails after the deadline with the last one."""
    deadline = time.monotonic() + within_s
    while not (result := look()):
        assert time.monotonic() < deadline, f"still {result!r} after {within_s} s"
        time.sleep(0.02)
    return result


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> None:
    """The run's own server has nothing to protect, so its one database is used as it is."""
    from django.core.management import call_command

    with django_db_blocker.unblock():
        call_command("migrate_schemas", verbosity=0)


@pytest.fixture(scope="session")
def committed(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Rows written by fixtures of the session stay."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="session")
def tenant_a(committed: None) -> Any:
    from tenants.services import create_tenant

    return create_tenant(slug="acme", name="Acme retail")


@pytest.fixture(scope="session")
def tenant_b(committed: None) -> Any:
    from tenants.services import create_tenant

    return create_tenant(slug="globex", name="Globex")


@pytest.fixture
def sign_in(tenant_a: Any) -> SignIn:
    from django.test import Client

    from tenants.models import Membership, User

    def enter(role: str | None, tenant: Any = tenant_a) -> Client:
        """A browser of somebody with this role; None: platform staff."""
        person = User.objects.create_user(unique("person"), is_staff=True, is_superuser=role is None)
        if role is not None:
            Membership.objects.create(user=person, tenant=tenant, role=role)
        client = Client()
        client.force_login(person)
        return client

    return enter


@dataclass(frozen=True, slots=True)
class Shells:
    """The same application twice: with the express shell ahead of Django, and without it."""

    express: str
    drf: str

    def url(self, name: str) -> str:
        return str(getattr(self, name))


@pytest.fixture(scope="module")  # not longer: threads that use chance upset the property tests of other modules
def shells(committed: None) -> Iterator[Shells]:
    from django.core.management import call_command

    from relay_project.asgi import application, django_application
    from routing.runtime import lifespan

    async def without_express(scope: Any, receive: Any, send: Any) -> None:
        await (lifespan if scope["type"] == "lifespan" else django_application)(scope, receive, send)

    call_command("seed", verbosity=0)
    with closing(_Server(application)) as express, closing(_Server(without_express)) as drf:
        yield Shells(express.url, drf.url)


@pytest.fixture(scope="module")
def workers(committed: None) -> Iterator[None]:
    """The lane worker and the trace writer, as processes."""
    commands = (["runworker", "lanes"], ["trace_writer"])
    processes = [
        subprocess.Popen([sys.executable, "manage.py", *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    yield
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:  # coverage can lock itself out in its handler of the signal
            process.kill()
            process.wait()


class _Server:
    def __init__(self, application: Any) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(
            application, host="127.0.0.1", port=port, log_config=None, access_log=False, timeout_keep_alive=75
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        eventually(self._answers)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=1) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=15)
