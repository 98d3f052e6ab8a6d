"""The platform's default strategy: for policies that name none of their own."""

from dataclasses import replace

from routing.core.policy import PolicyDocument, Settings

FIELDS = ("strategy", "weights", "slo", "canary")  # what says in which order candidates are asked


def with_default(document: PolicyDocument, default: Settings) -> PolicyDocument:
    """The document with the default's order of candidates, unless its own defaults name a strategy. What it names of
    the rest stays, and a rule's own strategy goes before both."""
    if "strategy" in document.named:
        return document
    taken = {name: getattr(default, name) for name in FIELDS if name not in document.named}
    return replace(document, defaults=replace(document.defaults, **taken))
