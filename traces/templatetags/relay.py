"""The console's formats as template filters: see traces.core.formats."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from traces.core import formats
from traces.core.query import TraceQuery
from traces.models import Trace
from traces.viewer.lenient import number
from traces.viewer.rawjson import highlighted

register = template.Library()
ICONS = {
    "ok": "check",
    "cached": "bolt",
    "fell_back": "subdirectory_arrow_right",
    "limited": "speed",
    "rejected": "block",
    "failed": "close",
    "cancelled": "logout",
}

register.filter("short_count", formats.short_count)


def show_numbers(name: str, show: Callable[[float | None], str]) -> None:
    """Recorded values may be absent or of any type; what is no number is unknown."""
    register.filter(name, lambda value: show(number(value)))


show_numbers("duration", formats.duration)
show_numbers("money", formats.money)
show_numbers("count", formats.count)
show_numbers("percent", formats.percent)
show_numbers("points", formats.points)


@register.filter
def slug(outcome: str) -> str:
    return outcome.replace("_", "-")


@register.filter
def outcome_icon(outcome: str) -> str:
    return ICONS.get(outcome, "circle")


@register.simple_tag
def when(instant: datetime, now: datetime) -> SafeString:
    """Relative, with the exact time on hover."""
    exact = instant.astimezone(UTC)
    words = formats.relative((now - instant).total_seconds())
    iso, title = exact.isoformat(timespec="milliseconds"), f"{exact:%d %b %Y %H:%M:%S} UTC"
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, title, words)


@register.filter
def codes(sentence: str) -> SafeString:
    """Names between backticks become <code>."""
    return mark_safe(re.sub(r"`([^`]*)`", r"<code>\1</code>", conditional_escape(sentence)))


@register.filter
def share_of(part: float | None, whole: float) -> str:
    """Percent of a bar's width, for style attributes: always with a dot."""
    if not part or not whole:
        return "0"
    return f"{min(max(part / whole * 100, 0), 100):.1f}"


@register.filter
def short_id(pk: object) -> str:
    return str(pk)[-12:]


@register.filter
def after_first(trace: Trace, slowest: float) -> str:
    """The part of the latency bar behind the first token."""
    return share_of(trace.latency_ms - (trace.ttft_ms or 0.0), slowest)


@register.filter
def range_url(chosen: str, query: TraceQuery) -> str:
    return query.url(range=chosen, **{"from": "", "to": ""})


@register.filter
def css(value: float) -> str:
    return f"{value:g}"


@register.filter
def from_top(percent: float) -> float:
    """SVG counts from the top."""
    return 100 - percent


@register.filter
def add_css(value: float, more: float) -> str:
    return f"{value + more:g}"


@register.filter
def from_right(left: float) -> str:
    """Where text ends that stands before a bar."""
    return f"{100.8 - left:g}"


@register.filter
def lit(source: str) -> SafeString:
    return highlighted(source)


@register.filter
def half(value: float) -> float:
    return value / 2


@register.filter
def seconds(value: float) -> str:
    return formats.duration(value * 1000)
