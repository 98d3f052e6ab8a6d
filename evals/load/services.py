"""Writes of load runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from evals.core.load import Report
from evals.load.models import LoadRun


def record_load_run(
    *, name: str, tool: str, started_at: datetime, options: Mapping[str, Any], report: Report
) -> LoadRun:
    """``options`` as they were given; they must hold no key."""
    return LoadRun.objects.create(
        name=name[:80], tool=tool, started_at=started_at, options=dict(options), **report.as_json()
    )
