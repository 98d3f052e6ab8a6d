"""Which tier does a prompt need? The answer of the model that ships with Relay.

Pure counting, some 60 us a prompt and no embedding. It was learned from half the subjects of MMLU; `bench_routing`
reports on the other half. Any other kind of prompt is foreign to it, and it says so.
"""

import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from routing.core.questions import Measures, measure, read_question
from routing.core.tiers import Line, TierEstimate, TierModel, estimate

SHIPPED = Path(__file__).parent / "data" / "tiers.json"
READ = 10_000  # characters; four times what a known question holds


def tier_of(text: str) -> TierEstimate:
    """Of a prompt longer than `READ` only so much is read: that alone is more than what was learned."""
    return estimate(shipped_model(), measure(read_question(text[:READ])))


@cache
def shipped_model() -> TierModel:
    stored = json.loads(SHIPPED.read_text())
    return TierModel(
        stored["better"], stored["worse"], tuple(Line(**stored["measures"][name]) for name in Measures._fields)
    )


def model_text(model: TierModel) -> str:
    """JSON, as it ships."""
    lines = {name: asdict(line) for name, line in zip(Measures._fields, model.lines, strict=True)}
    return json.dumps({"better": model.better, "worse": model.worse, "measures": lines}, indent=1) + "\n"
