"""Numbers and times as the console writes them. Unknown is a dash, never 0."""

DASH = "–"
MICRO = 1_000_000


def duration(ms: float | None) -> str:
    """870 ms, 1.84 s, 2 min 5 s, 3 h 10 min."""
    if ms is None:
        return DASH
    if ms < 0.95:
        return "<1 ms" if ms > 0 else "0 ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    if ms < 9_995:
        return f"{ms / 1000:.2f} s"
    if ms < 59_950:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    if minutes >= 60:
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def money(microusd: float | None) -> str:
    """Dollars: four decimals under a cent, else two; nothing at all is $0."""
    if microusd is None:
        return DASH
    sign, dollars = ("−" if microusd < 0 else ""), abs(microusd) / MICRO
    if dollars == 0:
        return "$0"
    if dollars < 0.0001:
        return f"{sign}<$0.0001"
    return f"{sign}${dollars:,.4f}" if dollars < 0.01 else f"{sign}${dollars:,.2f}"


def count(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f}"


def short_count(value: float) -> str:
    """For axes and chips: 950, 1.2k, 3.4M."""
    for limit, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= limit:
            return f"{value / limit:.1f}".removesuffix(".0") + unit
    return f"{value:g}"


def percent(share: float | None) -> str:
    return DASH if share is None else f"{share * 100:.1f}%"


def points(value: float | None) -> str:
    """Of a score: one decimal, none for whole ones; −3.2 with a true minus."""
    return DASH if value is None else f"{round(value, 1) + 0.0:.1f}".removesuffix(".0").replace("-", "−")


def relative(age_s: float) -> str:
    """ "9 min ago". Ahead of now (clocks differ a little) is "just now"."""
    if age_s < 5:
        return "just now"
    for limit, size, unit in ((60, 1, "s"), (3_600, 60, "min"), (86_400 * 2, 3_600, "h"), (86_400 * 60, 86_400, "d")):
        if age_s < limit:
            return f"{int(age_s // size)} {unit} ago"
    return f"{int(age_s // (86_400 * 30))} months ago"


def size(characters: int) -> str:
    """Of text, for placeholders: 980 characters, 12 KB, 3.4 MB."""
    if characters < 1_000:
        return f"{characters} characters"
    return f"{characters / 1_000:.0f} KB" if characters < 1_000_000 else f"{characters / 1_000_000:.1f} MB"


def change(now: float | None, before: float | None) -> str:
    """ "+12.4%" against the period before; empty where there was nothing, or next to nothing, to compare with."""
    if now is None or not before or now > 10 * before:
        return ""
    ratio = (now - before) / before
    return f"{'+' if ratio >= 0 else '−'}{abs(ratio) * 100:,.1f}%"


def change_in_points(now: float | None, before: float | None) -> str:
    """Difference of two shares in percentage points."""
    if now is None or before is None:
        return ""
    points = (now - before) * 100
    return f"{'+' if points >= 0 else '−'}{abs(points):.1f} pt"


def change_in_duration(now: float | None, before: float | None) -> str:
    if now is None or before is None:
        return ""
    return f"{'+' if now >= before else '−'}{duration(abs(now - before))}"
