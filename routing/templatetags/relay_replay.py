"""Figures of a replay's report as the console writes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import template

from routing.models import Proof
from traces.core.formats import duration, money

register = template.Library()
KINDS = {"better": "ok", "same": "ok", "worse": "failed", "undecided": "warning"}
ICONS = {"better": "trending_up", "same": "check", "worse": "block", "undecided": "hourglass_empty"}


@register.filter
def verdict_kind(verdict: str) -> str:
    return KINDS[verdict]


@register.filter
def verdict_icon(verdict: str) -> str:
    return ICONS[verdict]


@register.filter
def verdict_name(verdict: str) -> str:
    return str(Proof.Verdict(verdict).label)


@register.filter
def moment(told: str) -> str:
    return f"{datetime.fromisoformat(told):%d %b %H:%M} UTC"


@register.filter
def side(measure: Mapping[str, Any], name: str) -> str:
    value = measure[name]
    if measure["name"] == "p95":
        return duration(value)
    return money(value) if measure["name"] == "cost" else f"{value * 100:.1f} %"


@register.filter
def change(measure: Mapping[str, Any], name: str) -> str:
    """With its sign; what comes of nothing has no percentage."""
    value = measure[name]
    if value is None:
        return "from 0"
    return f"{value:+.1f} %" if measure["unit"] == "%" else f"{value:+.1f} points"
