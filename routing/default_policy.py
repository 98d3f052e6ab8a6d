"""Which strategy holds where a policy names none: a setting of the platform, in force everywhere within a second."""

import logging

from django.core.exceptions import ValidationError
from django.db import models

from routing.core.policy import PolicyInvalid, Settings
from routing.core.strategies import STRATEGIES
from routing.documents import read_policy
from routing.models import PolicyVersion
from tenants.models import Platform

log = logging.getLogger("relay.policies")


def default_policy() -> str:
    """As it was set; empty: the route's order."""
    return Platform.objects.values_list("default_policy", flat=True).first() or ""


def default_settings(name: str | None = None) -> Settings | None:
    """What a default policy says of the order of candidates (ORM; never on the event loop). ``name`` None: the one
    that is set. None if there is none; one that is no longer there is as none."""
    name = default_policy() if name is None else name
    if not name:
        return None
    settings = _of_policy(name) or (Settings(strategy=name) if name in STRATEGIES else None)
    if settings is None:
        log.error("the default policy %s is neither a strategy nor an active policy of the platform", name)
    return settings


def set_default_policy(*, name: str) -> None:
    """A strategy or the slug of an active policy of the platform; empty for none. Raises ValidationError."""
    if name and name not in default_policy_choices():
        known = ", ".join(default_policy_choices())
        raise ValidationError({"default_policy": f"“{name[:80]}” is neither a strategy nor a policy: choose {known}."})
    Platform.objects.update_or_create(pk=1, defaults={"default_policy": name})


def default_policy_choices() -> list[str]:
    """Strategies first, then the active policies of the platform."""
    return [*STRATEGIES, *sorted(_active().values_list("policy__slug", flat=True))]


def _active() -> "models.QuerySet[PolicyVersion]":
    return PolicyVersion.objects.filter(policy__tenant=None, policy__active_version=models.F("number"))


def _of_policy(slug: str) -> Settings | None:
    version = _active().filter(policy__slug=slug).first()
    if version is None:
        return None
    try:
        return read_policy(version.text).defaults
    except PolicyInvalid:  # only by SQL written by hand
        return None
