"""What a gate decided, in words: one row for each rule, as the console, the command and the reports show it."""

from dataclasses import dataclass
from math import isfinite

from evals.core.bootstrap import Interval
from evals.core.gate import LEAST_ITEMS, QUANTILES, Decision, Finding, Rule, Verdict
from evals.core.metrics import SCORE, metric_of
from evals.core.pairs import WRONG_HITS
from traces.core.formats import DASH, count, duration, money, percent

VERDICTS: dict[Verdict, str] = {"pass": "Pass", "fail": "Fail", "undecided": "Not enough evidence"}


@dataclass(frozen=True, slots=True)
class Row:
    """JSON-ready: ``change``, ``low`` and ``high`` are in the unit of ``bound`` (percent for changes), None if unknown
    or infinite; ``*_text`` is how they are written."""

    metric: str
    label: str
    measure: str
    direction: str
    bound: float
    rule_text: str
    baseline: float | None
    baseline_text: str
    candidate: float | None
    candidate_text: str
    change: float | None
    change_text: str
    low: float | None
    high: float | None
    interval_text: str
    pairs: int
    items: int
    verdict: Verdict
    why: str


def rows_of(decision: Decision) -> tuple[Row, ...]:
    return tuple(row_of(finding) for finding in decision.findings)


def row_of(finding: Finding) -> Row:
    rule, interval = finding.rule, finding.interval
    scale = 100 if rule.measure == "change" else 1
    figures = [None if interval is None or not isfinite(value) else value * scale for value in interval or ()]
    change, low, high = figures or (None, None, None)
    return Row(
        metric=rule.metric,
        label=metric_of(rule.metric).label,
        measure=rule.measure,
        direction=rule.direction,
        bound=rule.bound,
        rule_text=rule_text(rule),
        baseline=finding.baseline,
        baseline_text=amount(rule.metric, finding.baseline),
        candidate=finding.candidate,
        candidate_text=amount(rule.metric, finding.candidate),
        change=change,
        change_text=measured(rule, interval.estimate) if interval else DASH,
        low=low,
        high=high,
        interval_text=f"{measured(rule, interval.low)} to {measured(rule, interval.high)}" if interval else DASH,
        pairs=finding.pairs,
        items=finding.items,
        verdict=finding.verdict,
        why=why(finding),
    )


def rule_text(rule: Rule) -> str:
    """“at most +5%”"""
    return f"{rule.direction.replace('_', ' ')} {measured(rule, rule.limit)}"


def measured(rule: Rule, value: float) -> str:
    """The figure that a rule is about: a change in percent, a difference with its sign, or a value."""
    if rule.measure == "value":
        return amount(rule.metric, value)
    if not isfinite(value):
        return "from nothing" if value > 0 else DASH
    sign = "−" if value < 0 else "+" if value > 0 else "±"
    if rule.measure == "change":
        return f"{sign}{trimmed(abs(value) * 100)}%"
    if metric_of(rule.metric).unit == "share":
        return f"{sign}{trimmed(abs(value) * 100)} pt"
    return f"{sign}{amount(rule.metric, abs(value))}"


def amount(metric: str, value: float | None) -> str:
    """A metric's value as the console writes it."""
    if value is None:
        return DASH
    unit = metric_of(metric).unit
    if unit == "ms":
        return duration(value)
    if unit == "microusd":
        return money(value)
    if unit == "tokens":
        return trimmed(value)
    return percent(value) if unit == "share" else f"{value:.3f}"


def trimmed(value: float) -> str:
    """One decimal, two below 1, none where it would be 0."""
    return f"{value:,.{2 if abs(value) < 1 else 1}f}".rstrip("0").rstrip(".") or "0"


def why(finding: Finding) -> str:
    """The sentence that says what decided the rule, or what is missing."""
    rule, interval = finding.rule, finding.interval
    if interval is None:
        return _nothing(rule)
    between = _between(rule, interval)
    if finding.verdict == "fail":
        return f"{between}: beyond what is allowed, {rule_text(rule)}."
    if finding.verdict == "pass":
        return f"{between}: {rule_text(rule)} holds."
    what = "answer" if rule.measure == "value" else "pair"
    if finding.pairs < rule.least_pairs:
        return f"{_many(finding.pairs, what)}; this rule needs {count(rule.least_pairs)}."
    if finding.items < LEAST_ITEMS:
        return f"Only {_many(finding.items, 'different prompt')}; at least {LEAST_ITEMS} are needed."
    bound = measured(rule, rule.limit)
    if finding.more is None:
        return f"{between}: too close to {bound} to say."
    return f"{between}: {bound} lies between them. About {_many(round_up(finding.more), f'more {what}')} would decide."


def _between(rule: Rule, interval: Interval) -> str:
    if not isfinite(interval.estimate):
        return "The baseline’s is 0 and the candidate’s is not"
    low, high = measured(rule, interval.low), measured(rule, interval.high)
    if low == high:
        return f"{low} whichever prompts are drawn"
    typical = rule.measure == "change" and QUANTILES.get(rule.metric) == 0.5
    return f"In the typical pair between {low} and {high}" if typical else f"Between {low} and {high}"


def _nothing(rule: Rule) -> str:
    if rule.metric == WRONG_HITS:
        return "Cache hits were not compared with anything: run with the scorer similarity."
    if rule.metric.startswith(SCORE):
        return f"No answer has this score: run both with the scorer {rule.metric.removeprefix(SCORE)}."
    return "No pair of answers has a value for it."


def _many(number: int, noun: str) -> str:
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def round_up(number: int) -> int:
    """Two digits: an estimate is not sharper."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // step) * step


def sentence(decision: Decision) -> str:
    """The verdict with its reason, first thing on every report."""
    rows = rows_of(decision)
    return verdict_sentence(decision.verdict, rows)


def verdict_sentence(verdict: Verdict, rows: tuple[Row, ...]) -> str:
    def named(which: Verdict) -> str:
        return ", ".join(_told(row) for row in rows if row.verdict == which)

    if verdict == "fail":
        return f"Fail. Worse than allowed: {named('fail')}."
    if not rows:
        return "Not enough evidence: the gate has no rules."
    if verdict == "pass":
        return f"Pass. All {len(rows)} rules hold." if len(rows) > 1 else "Pass. The rule holds."
    open_rules = sum(row.verdict == "undecided" for row in rows)
    return f"Not enough evidence for {open_rules} of {len(rows)} rules: {named('undecided')}. None is proven worse."


def _told(row: Row) -> str:
    return f"{row.label} {row.change_text} ({row.rule_text})"
