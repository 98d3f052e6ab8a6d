"""Rows from a tenant's own traces: a sample of what its clients asked, each prompt once, redacted. In the schema that
is set. What runs and judges themselves asked is left out."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db.models import Q, QuerySet

from evals.core.redaction import redacted, told
from evals.core.rows import PARAMETERS, Row
from routing.core.canary_calls import JUDGE
from traces.models import Trace

CAP = 20_000  # the newest traces that a sample is taken from
AT_ONCE = 200
LARGEST = 256 * 1024  # bytes of one prompt: longer ones hold pictures


@dataclass(frozen=True, slots=True)
class Wish:
    """Which traces; empty: any. ``task`` as ``Trace.task``."""

    since: datetime
    route: str = ""
    outcome: str = ""
    task: str = ""
    most: int = 100

    @property
    def words(self) -> str:
        kept = [word for word in (self.route, self.outcome.replace("_", " "), self.task) if word]
        return ", ".join([f"traces since {self.since:%Y-%m-%d %H:%M} UTC", *kept])


@dataclass(frozen=True, slots=True)
class Mined:
    rows: list[Row]
    taken_out: Counter[str]

    @property
    def words(self) -> str:
        return told(self.taken_out)


def mine(wish: Wish, chance: random.Random) -> Mined:
    """As many different prompts as are wanted, or all there are."""
    traces = list(_matching(wish).order_by("-started_at").values_list("pk", flat=True)[:CAP])
    chance.shuffle(traces)
    taken_out: Counter[str] = Counter()
    rows: list[Row] = []
    for trace, body in _different(traces):
        clean, found = redacted(body)
        taken_out += found
        rows.append(Row(len(rows) + 1, clean, category=trace.task, trace_id=str(trace.pk)))
        if len(rows) == wish.most:
            break
    return Mined(rows, taken_out)


def _matching(wish: Wish) -> "QuerySet[Trace]":
    named = {"route": wish.route, "outcome": wish.outcome, "task": wish.task}
    traces = Trace.objects.filter(
        started_at__gte=wish.since, endpoint="chat", **{name: value for name, value in named.items() if value}
    )
    if not wish.outcome:
        traces = traces.exclude(outcome=Trace.Outcome.REJECTED)
    asked_here = Q(api_key__startswith="eval run ") | Q(api_key__startswith=JUDGE)
    return traces.exclude(prompt_line="").exclude(asked_here)


def _different(traces: list[Any]) -> Iterator[tuple[Trace, dict[str, Any]]]:
    seen: set[bytes] = set()
    for start in range(0, len(traces), AT_ONCE):
        found = Trace.objects.filter(pk__in=traces[start : start + AT_ONCE]).only("id", "task", "request_json")
        for trace in found.order_by("pk"):
            asked = trace.request_json
            if not isinstance(asked, dict) or not asked.get("messages"):
                continue
            body = {name: asked[name] for name in ("messages", *PARAMETERS) if asked.get(name) is not None}
            raw = orjson.dumps(body["messages"], option=orjson.OPT_SORT_KEYS)
            mark = hashlib.sha256(raw).digest()
            if len(raw) <= LARGEST and mark not in seen:
                seen.add(mark)
                yield trace, body
