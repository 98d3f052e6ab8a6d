"""Is it the same text, or is the text in it? Case, white space and what stands around it do not matter."""

import re
import unicodedata

from evals.core.case import NO_REFERENCE, Case, Score

_AROUND = " \"'“”‘’«»„()[]{}<>.,;:!?…*`"  # not #, %, + or -, so that C and C#, 5 and 5 % or -5 stay apart


def exact(case: Case) -> Score:
    if case.reference is None:
        return Score(None, NO_REFERENCE)
    same = plain(case.answer) == plain(case.reference)
    return Score(float(same), "The reference, word for word." if same else "Differs from the reference.")


def contains(case: Case) -> Score:
    """The reference as whole words: "cat" is not in "category"."""
    if case.reference is None:
        return Score(None, NO_REFERENCE)
    wanted = plain(case.reference)
    before, after = (r"(?<!\w)" if wanted[:1].isalnum() else ""), (r"(?!\w)" if wanted[-1:].isalnum() else "")
    found = re.search(before + re.escape(wanted) + after, _flat(case.answer)) is not None
    return Score(float(found), "Contains the reference." if found else "The reference is not in it.")


def plain(text: str) -> str:
    """NFKC, case folded, single spaces, bare of punctuation around it; a text of nothing else stays. The point of .5
    is kept."""
    flat = _flat(text)
    bare = flat.strip(_AROUND)
    if bare[:1].isdecimal() and re.search(r"(?<!\.)\.$", flat.removesuffix(flat[flat.find(bare) :])):
        return "." + bare
    return bare or flat


def _flat(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
