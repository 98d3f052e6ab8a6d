"""A replay's report as text for a terminal."""

from collections.abc import Mapping
from typing import Any

from routing.templatetags.relay_replay import change, side, verdict_name


def as_text(report: Mapping[str, Any]) -> str:
    lines = [
        f"{report['policy']}: v{report['version']} beside the active v{report['active']}",
        f"{verdict_name(report['verdict'])}. {report['why']}",
        f"{report['sample']:,} requests replayed, {report['identical']:,} planned alike"
        + (f", {report['unreadable']:,} could not be replayed" if report["unreadable"] else ""),
    ]
    if report["measures"]:
        lines += ["", f"{'':26}{'active':>12}{'new':>12}{'change':>14}   95 % interval"]
    lines += [_measure(one) for one in report["measures"]]
    for move in report["moves"]:
        if move["changed"]:
            lines += ["", f"{move['what']}: {move['changed']:,} change"]
            lines += [f"  {row['count']:>8,}  {row['old']} → {row['new']}" for row in move["rows"] if not row["same"]]
    if report["most_changed"]:
        lines += ["", "Most changed"]
        lines += [f"  {one['tenant']} {one['trace']}  {'; '.join(one['changes'])}" for one in report["most_changed"]]
    return "\n".join(lines)


def _measure(one: Mapping[str, Any]) -> str:
    sides = f"{side(one, 'old'):>12}{side(one, 'new'):>12}{change(one, 'change'):>14}"
    return f"{one['label']:26}{sides}   {change(one, 'low')} to {change(one, 'high')}"
