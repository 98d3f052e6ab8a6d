from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from conftest import Shells, unique
from routing.tests.own_stack import OwnStack, own_stack
from routing.tests.stage import Stage
from routing.tests.upstream import FakeProvider


@pytest.fixture(scope="module")
def stage(shells: Shells, workers: None, tenant_a: Any) -> Iterator[Stage]:
    with closing(FakeProvider()) as fake, closing(Stage(shells, fake, tenant_a)) as made:
        yield made


@pytest.fixture(scope="session")
def tenant_c(committed: None) -> Any:
    """Keeps metadata only."""
    from tenants.services import create_tenant

    return create_tenant(slug=unique("discreet"), content="metadata")


@pytest.fixture(params=["express", "drf"])
def base(request: pytest.FixtureRequest, shells: Shells) -> str:
    """Both shells, one after the other."""
    return shells.url(request.param)


@pytest.fixture(scope="package")  # it takes 10 s to start
def own() -> Iterator[OwnStack]:
    """A Relay that tests may kill parts of; they leave it whole."""
    with own_stack() as stack:
        yield stack
