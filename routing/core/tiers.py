"""Is the weak tier good enough for this prompt? A weighted sum of what can be counted in it, with its reasons."""

from dataclasses import dataclass

from routing.core.questions import Measures


@dataclass(frozen=True, slots=True)
class Line:
    """What was learned about one measure. Weights are probability for each unit above the mean."""

    low: float  # outside low..high nothing was learned
    high: float
    mean: float
    better: float  # weight in P(strong right, weak wrong)
    worse: float  # weight in P(strong wrong, weak right)


@dataclass(frozen=True, slots=True)
class TierModel:
    better: float  # P(strong right, weak wrong) of the prompts learned from
    worse: float  # P(strong wrong, weak right)
    lines: tuple[Line, ...]  # one for each of Measures

    def __post_init__(self) -> None:
        if len(self.lines) != len(Measures._fields):
            raise ValueError(f"{len(self.lines)} lines for {len(Measures._fields)} measures")


@dataclass(frozen=True, slots=True)
class TierEstimate:
    weak_good_enough: float  # probability that the strong tier would not turn a wrong answer into a right one
    strong_gain: float  # right answers that the strong tier adds for each prompt, -1..1: order prompts by this
    foreign: bool  # outside what was learned: both figures are then those of the average prompt
    why: str


def estimate(model: TierModel, measures: Measures) -> TierEstimate:
    reason = foreign_reason(model, measures)
    if reason:
        return TierEstimate(1 - model.better, model.better - model.worse, True, reason)
    better = model.better + sum(
        line.better * (value - line.mean) for line, value in zip(model.lines, measures, strict=True)
    )
    gain = _gain(model, measures)
    return TierEstimate(1 - min(max(better, 0.0), 1.0), gain, False, _why(model, measures, gain))


def strong_gain(model: TierModel, measures: Measures) -> float:
    """As in the estimate. Foreign prompts share one value, so an order by gain leaves them to chance."""
    return model.better - model.worse if foreign_reason(model, measures) else _gain(model, measures)


def foreign_reason(model: TierModel, measures: Measures) -> str:
    """Empty: the prompt is of a kind that was learned."""
    for name, line, value in zip(Measures._fields, model.lines, measures, strict=True):
        if not line.low <= value <= line.high:
            return f"unlike what was learned: {_words(name)} {value:.3g}, known {line.low:.3g} to {line.high:.3g}"
    return ""


def _gain(model: TierModel, measures: Measures) -> float:
    gain = model.better - model.worse + sum(_points(model, measures))
    return min(max(gain, -1.0), 1.0)


def _points(model: TierModel, measures: Measures) -> list[float]:
    """What each measure adds to the gain."""
    return [(line.better - line.worse) * (value - line.mean) for line, value in zip(model.lines, measures, strict=True)]


def _why(model: TierModel, measures: Measures, gain: float) -> str:
    """The three measures that count most, in hundredths of a right answer a prompt."""
    points = zip(_points(model, measures), Measures._fields, strict=True)
    largest = sorted(points, key=lambda each: -abs(each[0]))[:3]
    parts = ", ".join(f"{_words(name)} {100 * value:+.0f}" for value, name in largest)
    return f"the strong tier adds {100 * gain:+.0f} right answers in 100: {parts}"


def _words(name: str) -> str:
    return name.replace("_", " ")
