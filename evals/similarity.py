"""How near an answer is in meaning to the reference or the baseline's answer, by the embedder of this process.

Measured (``tests/test_scorers_measured.py`` repeats a part): on 20,000 pairs of Quora's questions, AUC_HERE
"""

from caching.embedders import embedder
from evals.core.case import NO_REFERENCE, Case, Score
from evals.core.closeness import closeness, pieces

NO_BASELINE = "The baseline has no answer to this row."


def similarity(case: Case, against: str = "auto") -> Score:
    """Loads the model with the first call, and takes some 20 ms for each 700 characters: not for an event loop."""
    if against != "baseline" and case.reference is not None:
        return _near(case.answer, case.reference, "the reference")
    if against == "reference":
        return Score(None, NO_REFERENCE)
    if case.baseline is None:
        return Score(None, NO_BASELINE if against == "baseline" else "Neither a reference nor a baseline's answer.")
    return _near(case.answer, case.baseline, "the baseline's answer")


def _near(answer: str, other: str, named: str) -> Score:
    if answer.strip() == other.strip():
        return Score(1.0, f"The same as {named}.")
    embed = embedder().embed
    value = closeness(embed(pieces(answer)), embed(pieces(other)))
    return Score(value, f"Cosine {value:.3f} to {named}.")
