"""Canaries as Prometheus sees them: a gauge for each live one, and when the last ones ended."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from routing.canary_scores import rules_of
from routing.core.canary import LIVE
from routing.core.canary_record import from_json
from routing.core.canary_words import figures
from routing.models import Canary, CanaryTransition

MOST = 200  # live ones and ended ones; the newest
ENDED_WITHIN = timedelta(days=1)
OF = ["route", "candidate"]


def canaries() -> Iterator[Metric]:
    """``route`` is named as in the counters of requests: “name”, of a tenant's own “tenant/name”."""
    share = GaugeMetricFamily("relay_canary_share_ratio", "Of the route's traffic, 0 to 1.", labels=OF)
    state = GaugeMetricFamily("relay_canary_state", "1: it runs, holds or is paused.", labels=[*OF, "state"])
    calls = GaugeMetricFamily("relay_canary_calls", "Calls that the tests have seen.", labels=[*OF, "arm", "outcome"])
    rows = Canary.objects.select_related("route__tenant", "evidence", "scoring")
    for row in rows.filter(state__in=LIVE)[:MOST]:
        of = [_route(row), row.name]
        share.add_metric(of, row.share / 100)
        for one in LIVE:
            state.add_metric([*of, one], float(row.state == one))
        told = figures(from_json(row.evidence.data), rules_of(row))
        for arm in ("base", "candidate"):
            calls.add_metric([*of, arm, "failed"], told[arm]["failed"])
            calls.add_metric([*of, arm, "answered"], told[arm]["calls"] - told[arm]["failed"])
    ended = GaugeMetricFamily(
        "relay_canary_ended_timestamp_seconds", "When it was rolled back or took over.", labels=[*OF, "state"]
    )
    for (route, name, how), at in _ended(rows).items():
        ended.add_metric([route, name, how], at)
    moves = GaugeMetricFamily("relay_canary_transitions", "So far, by the state that was entered.", labels=["state"])
    for entered in Canary.State.values:
        moves.add_metric([entered], CanaryTransition.objects.filter(to_state=entered).count())
    yield from (share, state, calls, ended, moves)


def _ended(rows: "QuerySet[Canary]") -> dict[tuple[str, str, str], float]:
    """A candidate that was tried twice counts as it ended last: two samples of one name would fail the scrape."""
    lately = rows.filter(ended_at__gte=timezone.now() - ENDED_WITHIN).order_by("-ended_at")[:MOST]
    found: dict[tuple[str, str, str], float] = {}
    for row in lately:
        if row.ended_at is not None:
            found.setdefault((_route(row), row.name, row.state), row.ended_at.timestamp())
    return found


def _route(row: Canary) -> str:
    return f"{row.route.tenant.slug}/{row.route.name}" if row.route.tenant is not None else row.route.name
