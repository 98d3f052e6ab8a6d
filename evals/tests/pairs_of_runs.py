"""Two finished runs of one dataset, as rows in the schema that is set: two categories, answers with words."""

import uuid
from typing import Any

import numpy as np

from conftest import unique
from evals.models import Dataset, DatasetVersion, Item, Result, Run


def make_version(items: int, *, dataset: Dataset | None = None, number: int = 1) -> DatasetVersion:
    dataset = dataset or Dataset.objects.create(slug=unique("set"), name="Support questions")
    version = DatasetVersion.objects.create(
        dataset=dataset, number=number, source=DatasetVersion.Source.UPLOAD, digest=str(number), size=items
    )
    Item.objects.bulk_create(
        Item(
            version=version,
            row=row,
            body={"messages": [{"role": "user", "content": f"Question {row}: where is my <order>?"}]},
            category="billing" if row % 2 else "shipping",
        )
        for row in range(1, items + 1)
    )
    return version


def make_run(version: DatasetVersion, seed: int, *, slower: float = 1.0, worse: int = 0, **more: Any) -> Run:
    """``worse``: how many answers have lost their words and their score."""
    values = {"name": unique("run"), "route": "chat", "policy": unique("policy"), "policy_version": 3}
    run = Run.objects.create(version=version, expected=version.size, **values | {"state": Run.State.DONE} | more)
    prompts, luck = np.random.default_rng(0), np.random.default_rng(seed)
    Result.objects.bulk_create(
        Result(
            run=run,
            item=item,
            repetition=1,
            outcome=Result.Outcome.OK,
            trace_id=uuid.uuid4(),
            answer="Nobody knows." if place < worse else f"Your order {item.row} arrives on Monday & <b>early</b>.",
            cache="miss",
            latency_ms=latency,
            ttft_ms=latency / 3,
            tokens_in=20,
            tokens_out=12,
            cost_microusd=int(300 + prompts.integers(50)),
            scores={"similarity": 0.2 if place < worse else 1.0},
        )
        for place, item in enumerate(version.items.all())
        for latency in [float(np.exp(prompts.normal(6, 0.5) + luck.normal(0, 0.1)) * slower)]
    )
    return run


def make_pair(items: int = 150, **candidate: Any) -> tuple[Run, Run]:
    version = make_version(items)
    baseline = make_run(version, 1)
    return baseline, make_run(version, 2, baseline=baseline, **candidate)
