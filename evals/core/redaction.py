"""Takes out of texts what may name a person or open a door: e-mail addresses, secrets, phone numbers, long numbers.

By shape alone, so names, postal addresses and dates of birth stay, and a rare harmless number goes: it makes a data set
less risky, not anonymous. Secrets come first, as one may contain what looks like a number.
"""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

SECRET = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JSON web token
    r"|\b(?:sk|pk|rk|gsk|hf|glpat|npm|xox[abeprs]|gh[oprsu]|github_pat)[-_][\w-]{12,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}"
    r"|\b(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{32,}\b",  # letters and digits, as long as no word is
    re.DOTALL,
)
EMAIL = re.compile(r"\b[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")
PHONE = re.compile(
    r"(?<![\w.])\+\d{1,3}(?:[ ./-]?\(?\d{1,5}\)?){2,6}(?!\w)"  # +49 (30) 1234-567
    r"|(?<![\w.])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"  # (555) 123-4567
    r"|(?<![\w.])0\d{2,4}[ /-]\d{3,4}(?:[ -]?\d{2,5}){1,2}(?!\w)"  # 030 1234567
)
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b")
NUMBER = re.compile(r"(?<![\w.])(?!\d{4}-\d\d-\d\d\b)\d(?:[ -]?\d){8,}(?!\w)")  # no date

KINDS = {"secret": SECRET, "e-mail": EMAIL, "account": IBAN, "phone": PHONE, "number": NUMBER}
WORDS = {
    "secret": "secrets",
    "e-mail": "e-mail addresses",
    "account": "account numbers",
    "phone": "phone numbers",
    "number": "long numbers",
}


def redacted(value: Any) -> tuple[Any, Counter[str]]:
    """The value (JSON) with ``[e-mail]`` and the like in its texts, and how many of each kind there were. Keys of
    objects are kept: they are the API's words."""
    found: Counter[str] = Counter()
    return _within(value, found), found


def _within(value: Any, found: Counter[str]) -> Any:
    if isinstance(value, str):
        return _text(value, found)
    if isinstance(value, Mapping):
        return {key: _within(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_within(item, found) for item in value]
    return value


def _text(text: str, found: Counter[str]) -> str:
    for kind, pattern in KINDS.items():
        text, times = pattern.subn(f"[{kind}]", text)
        if times:
            found[kind] += times
    return text


def told(found: Mapping[str, int]) -> str:
    """“Taken out: 3 e-mail addresses, 1 phone numbers.” in the order of KINDS."""
    parts = [f"{found[kind]:,} {WORDS[kind]}" for kind in KINDS if found.get(kind)]
    return f"Taken out: {', '.join(parts)}." if parts else "Nothing had to be taken out."
