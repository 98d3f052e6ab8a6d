"""The reference names every field that the reader accepts, and no other."""

from typing import Any

import pytest

from routing.core.policy import PolicyInvalid
from routing.core.policy_reading import parse
from routing.core.policy_reference import REFERENCE, STRATEGIES_IN_WORDS, Section
from routing.core.strategies import STRATEGIES


@pytest.mark.parametrize("section", REFERENCE, ids=lambda section: section.path)
def test_a_section_lists_what_is_allowed_there(section: Section) -> None:
    data: Any = {"not-a-field": 1}
    for name in reversed(section.path.split(".")):
        data = [{"name": "one", "then": {}, **data}] if name == "0" else {name: data}
    with pytest.raises(PolicyInvalid) as refused:
        parse(data)
    [said] = [one.message for one in refused.value.problems if one.path[-1] == "not-a-field"]
    assert said == f"unknown; allowed here: {', '.join(field.name for field in section.fields)}."


def test_every_strategy_is_explained() -> None:
    assert [field.name for field in STRATEGIES_IN_WORDS] == list(STRATEGIES)
    assert all(field.means.endswith(".") for field in STRATEGIES_IN_WORDS)


def test_a_rules_fields_are_headed_as_those_of_every_rule() -> None:
    assert "rules.*.when" in {section.title for section in REFERENCE}
