"""A run's list of scorers: what may stand in it, and what is said of what may not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.core.case import Case
from evals.core.scorers import (
    KINDS,
    MOST_SCORERS,
    BadScorers,
    Scorer,
    described,
    read_scorers,
    score_purely,
    scorers_from_words,
)

ALLOWED = ("acme.scorers",)


def test_options_left_out_have_their_defaults() -> None:
    spec = [{"name": "numeric"}, {"name": "judge", "route": " big ", "as": "big_judge"}, {"name": "exact"}]
    assert read_scorers(spec) == (
        Scorer("numeric", "numeric", {"tolerance": 0.0}),
        Scorer("judge", "big_judge", {"route": "big", "against": "auto", "criteria": ""}),
        Scorer("exact", "exact", {}),
    )


def test_own_code_lies_below_what_the_operator_allows() -> None:
    spec = [{"name": "custom", "path": "acme.scorers.tone.polite"}]
    assert read_scorers(spec, ALLOWED)[0].options == {"path": "acme.scorers.tone.polite"}


@pytest.mark.parametrize(
    "path",
    ["os.system", "acme.scorers", "acme.scorersx.f", "acme.scorers.__main__.f", "acme.scorers..f", "acme.scorers.f()"],
)
def test_other_code_is_refused_in_the_same_words(path: str) -> None:
    for allowed in (ALLOWED, ()):
        with pytest.raises(BadScorers, match="is not below a module") as caught:
            read_scorers([{"name": "custom", "path": path}], allowed)
        assert caught.value.field == "scorers[0].path"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ("exact", "scorers"),
        ([{"name": "exact", "as": f"e{number}"} for number in range(MOST_SCORERS + 1)], "scorers"),
        (["exact"], "scorers[0]"),
        ([{"name": 5}], "scorers[0]"),
        ([{"name": "exact"}, {"name": "vibes"}], "scorers[1].name"),
        ([{"name": "exact"}, {"name": "exact"}], "scorers[1].as"),
        ([{"name": "exact", "as": "Exact match"}], "scorers[0].as"),
        ([{"name": "exact", "as": 5}], "scorers[0].as"),
        ([{"name": "exact", "tolerance": 0}], "scorers[0].tolerance"),
        ([{"name": "numeric", "tolerence": 0}], "scorers[0].tolerence"),
        ([{"name": "numeric", "tolerance": "1"}], "scorers[0].tolerance"),
        ([{"name": "numeric", "tolerance": True}], "scorers[0].tolerance"),
        ([{"name": "numeric", "tolerance": float("nan")}], "scorers[0].tolerance"),
        ([{"name": "numeric", "tolerance": 2}], "scorers[0].tolerance"),
        ([{"name": "judge"}], "scorers[0].route"),
        ([{"name": "judge", "route": " "}], "scorers[0].route"),
        ([{"name": "judge", "route": "x" * 201}], "scorers[0].route"),
        ([{"name": "judge", "route": "x", "criteria": 5}], "scorers[0].criteria"),
        ([{"name": "similarity", "against": "nothing"}], "scorers[0].against"),
        ([{"name": "similarity", "against": ["auto"]}], "scorers[0].against"),
    ],
)
def test_what_is_wrong_is_named(spec: Any, field: str) -> None:
    with pytest.raises(BadScorers) as caught:
        read_scorers(spec)
    assert caught.value.field == field and str(caught.value).startswith(f"{field}: ")


anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=4) | st.sampled_from([*KINDS, "name", "as", "route"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "as", "route", "x"]), inner),
)


@given(anything)
def test_any_list_is_read_or_refused(spec: Any) -> None:
    try:
        found = read_scorers(spec)
    except BadScorers as error:
        assert error.field.startswith("scorers")
    else:
        assert len({scorer.name for scorer in found}) == len(found) == len(spec)


def test_words_of_a_command_are_such_a_list() -> None:
    spec = scorers_from_words("exact, numeric:tolerance=0.01, judge:route=big : as=b,")
    assert spec == [
        {"name": "exact"},
        {"name": "numeric", "tolerance": 0.01},
        {"name": "judge", "route": "big", "as": "b"},
    ]
    assert len(read_scorers(spec)) == 3


def test_the_form_is_told_all_of_them() -> None:
    assert [kind["name"] for kind in described(ALLOWED)] == list(KINDS)
    assert "custom" not in [kind["name"] for kind in described()]
    assert json.loads(json.dumps(described()))[2]["options"][0]["name"] == "tolerance"


@pytest.mark.parametrize(
    ("spec", "answer", "value"),
    [
        ({"name": "exact"}, "42!", 1),
        ({"name": "contains"}, "It is 42, I think.", 1),
        ({"name": "numeric", "tolerance": 0.1}, "It is 40", 1),
        ({"name": "json_schema"}, "42", 0),
    ],
)
def test_a_scorer_scores_by_its_options(spec: dict[str, Any], answer: str, value: float) -> None:
    case = Case((), answer, "42", answer_schema={"type": "string"})
    assert score_purely(read_scorers([spec])[0], case).value == value
