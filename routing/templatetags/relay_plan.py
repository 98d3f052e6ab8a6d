"""What the pages that show a plan ask about it. The trace viewer lies below routing, so it asks by template."""

from django import template

from routing.core.what_if_words import sentences
from traces.viewer.lenient import mapping

register = template.Library()


@register.simple_tag
def would_have_been_first(plan: object) -> list[str]:
    """For each candidate that one change would have put first: the change, in a sentence; the smallest first."""
    return sentences(mapping(plan))
