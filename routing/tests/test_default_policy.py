import logging
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from conftest import unique
from routing.default_policy import default_policy, default_policy_choices, default_settings, set_default_policy
from routing.models import Policy
from routing.services import import_policy
from routing.tests.stage import BUCKETS
from tenants.models import Tenant

pytestmark = pytest.mark.django_db
SCORED = BUCKETS + "defaults: {strategy: scored, weights: {cost: 77}, slo: 0.95}"


def test_a_policy_of_the_platform_lends_its_order() -> None:
    slug = unique("default")
    import_policy(tenant=None, slug=slug, text=SCORED, activated=True)
    set_default_policy(name=slug)
    settings = default_settings()
    assert settings is not None
    assert (settings.strategy, settings.weights.cost, settings.slo) == ("scored", 77.0, 0.95)


def test_a_tenants_policy_and_a_draft_are_no_choice(tenant_a: Tenant) -> None:
    theirs, draft = unique("theirs"), unique("draft")
    import_policy(tenant=tenant_a, slug=theirs, text=SCORED, activated=True)
    import_policy(tenant=None, slug=draft, text=SCORED)
    for slug in (theirs, draft):
        assert slug not in default_policy_choices()
        with pytest.raises(ValidationError, match="neither a strategy nor a policy"):
            set_default_policy(name=slug)
    assert default_policy() == ""


def test_a_default_that_went_away_is_as_none_and_said(caplog: Any) -> None:
    slug = unique("default")
    import_policy(tenant=None, slug=slug, text=SCORED, activated=True)
    set_default_policy(name=slug)
    Policy.objects.filter(slug=slug).update(active_version=None)
    with caplog.at_level(logging.ERROR):
        assert default_settings() is None
    assert slug in caplog.text
