"""Tables and values of the audit log as a person would say them."""

import re
from typing import Any

from django.apps import apps

LONGEST = 160
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(\+00:00|Z)")


def object_words(table: str) -> str:
    """“API key” for tenants_apikey; the table's own name if no model has it."""
    names = {model._meta.db_table: str(model._meta.verbose_name) for model in apps.get_models()}
    return names.get(table, table)


def value_words(value: Any) -> str:
    """A stored value in one line."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str) and (moment := MOMENT.fullmatch(value)):
        return f"{moment[1]} {moment[2]} UTC"
    said = ", ".join(map(str, value)) if isinstance(value, list) else " ".join(str(value).split())
    text = said or "empty"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
