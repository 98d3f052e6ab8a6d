"""Learn from some subjects, report on others: what `bench_routing` shows."""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from routing.core.quality import Figures, Flags, Numbers, figures
from routing.core.questions import Measures, measure, read_question
from routing.core.tier_training import train
from routing.core.tiers import TierModel, foreign_reason, strong_gain
from routing.labelled import Labelled

TICK_EVERY = 1_000  # prompts


@dataclass(frozen=True, slots=True)
class Prompts:
    """Row i of each is one prompt."""

    subjects: tuple[str, ...]
    measures: tuple[Measures, ...]
    weak: Flags
    strong: Flags

    def of(self, subjects: frozenset[str]) -> "Prompts":
        rows = [row for row, subject in enumerate(self.subjects) if subject in subjects]
        return Prompts(
            tuple(self.subjects[row] for row in rows),
            tuple(self.measures[row] for row in rows),
            self.weak[rows],
            self.strong[rows],
        )


@dataclass(frozen=True, slots=True)
class Report:
    figures: Figures
    gains: Numbers  # the order that the figures are about
    flagged_foreign: float  # share of the prompts


@dataclass(frozen=True, slots=True)
class Halves:
    """`strong_share_at_95` when chance picks the subjects to learn from."""

    times: int
    mean: float
    smallest: float
    largest: float


def measured(rows: Iterable[Labelled], tick: Callable[[], None]) -> Prompts:
    """`tick` is called some ten times a second."""
    subjects, measures, weak, strong = [], [], [], []
    for number, row in enumerate(rows):
        if number % TICK_EVERY == 0:
            tick()
        subjects.append(row.subject)
        measures.append(measure(read_question(row.prompt)))
        weak.append(row.weak)
        strong.append(row.strong)
    return Prompts(tuple(subjects), tuple(measures), np.array(weak, np.bool_), np.array(strong, np.bool_))


def learned_subjects(prompts: Prompts) -> frozenset[str]:
    """Every other subject by name: a rule that knows no result."""
    return frozenset(sorted(set(prompts.subjects))[::2])


def learn(prompts: Prompts) -> TierModel:
    return train(prompts.measures, prompts.weak, prompts.strong)


def report(model: TierModel, prompts: Prompts) -> Report:
    gains = np.array([strong_gain(model, measures) for measures in prompts.measures])
    foreign = fmean(bool(foreign_reason(model, measures)) for measures in prompts.measures)
    return Report(figures(gains, prompts.weak, prompts.strong), gains, foreign)


def random_halves(prompts: Prompts, times: int, tick: Callable[[], None]) -> Halves:
    """Seeded by their number, so that each run reports the same."""
    every, shares = sorted(set(prompts.subjects)), []
    for seed in range(times):
        tick()
        learned = frozenset(random.Random(seed).sample(every, (len(every) + 1) // 2))
        unseen = prompts.of(frozenset(every) - learned)
        shares.append(report(learn(prompts.of(learned)), unseen).figures.strong_share_at_95)
    return Halves(times, fmean(shares), min(shares), max(shares))
