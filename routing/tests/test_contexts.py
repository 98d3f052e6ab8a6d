"""What traces name by its digest is there when they are, and goes when none can name it."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from conftest import unique
from routing import contexts
from routing.core.lineup import candidates_in, lineup_of
from routing.models import DecisionContext, Route
from routing.snapshot import load
from tenants.models import Tenant

pytestmark = pytest.mark.django_db


def seen(digest: str, days: float) -> None:
    DecisionContext.objects.filter(digest=digest).update(seen_at=timezone.now() - timedelta(days=days))


def test_a_configuration_that_is_loaded_is_kept_whole(shells: object) -> None:
    assert Route.objects.exists()
    entries = load().routes.values()
    lineups = [one for entry in entries for one in entry.candidates.values()]
    stored = contexts.documents_of(one.digest for one in lineups)
    assert lineups
    for one in lineups:
        assert lineup_of(candidates_in(stored[one.digest])) == (candidates_in(stored[one.digest]), one.digest)


def test_what_is_in_use_says_so_once_a_day() -> None:
    digest, young = unique("d")[:24], unique("y")[:24]
    contexts.keep({digest: {"candidates": []}, young: {"candidates": []}})
    seen(digest, 3)
    seen(young, 0.5)
    contexts.keep({digest: {"candidates": []}, young: {"candidates": []}})
    rows = dict(DecisionContext.objects.filter(digest__in=(digest, young)).values_list("digest", "seen_at"))
    assert rows[digest] > timezone.now() - timedelta(minutes=5) > rows[young]


def test_what_nobody_used_for_longer_than_any_tenant_keeps_traces_goes(tenant_a: Tenant) -> None:
    Tenant.objects.filter(pk=tenant_a.pk).update(trace_days=settings.RELAY_TRACE_DAYS + 100)
    kept, gone = unique("k")[:24], unique("g")[:24]
    contexts.keep({kept: {"candidates": []}, gone: {"candidates": []}})
    seen(kept, settings.RELAY_TRACE_DAYS + 110)
    seen(gone, settings.RELAY_TRACE_DAYS + 120)
    contexts.forget_unused(timezone.now())
    assert contexts.documents_of([kept, gone, "unknown"]).keys() == {kept}
