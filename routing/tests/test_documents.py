from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.policy import PolicyInvalid
from routing.documents import MAX_BYTES, changes_in_words, problems_of, read_policy

DEMO = (Path(__file__).parents[2] / "policies" / "policy.demo.yaml").read_text()
BUCKETS = """\
buckets:
  short: {max_input_tokens: 10, max_output_tokens: 10}
  medium: {max_input_tokens: 20, max_output_tokens: 20}
"""


def test_the_demo_policy_has_no_problem() -> None:
    assert problems_of(DEMO) == []


def test_each_problem_stands_on_its_line() -> None:
    text = (
        BUCKETS
        + 'defaults:\n  lane: middle\n  cache:\n    ttl_s: 0\nrules:\n  - name: x\n    then: {tier: ""}\nextra: 1\n'
    )
    assert {(problem.path, problem.line) for problem in problems_of(text)} == {
        ("defaults.lane", 5),
        ("defaults.cache.ttl_s", 7),
        ("rules.0.then.tier", 10),
        ("extra", 11),
    }


def test_what_is_missing_is_shown_at_what_should_hold_it() -> None:
    [problem] = problems_of(BUCKETS + "rules:\n  - then: {}\n")
    assert (problem.line, problem.path, problem.message) == (5, "rules.0.name", "is missing.")


def test_a_time_zone_must_exist() -> None:
    for zone in ("Mars/Olympus", "../../etc/passwd", "America"):
        hours = f'{{from: "22:00", to: "06:00", timezone: {zone}}}'
        [problem] = problems_of(BUCKETS + f"rules:\n  - name: n\n    then: {{}}\n    when: {{hours: {hours}}}\n")
        assert (problem.path, problem.line) == ("rules.0.when.hours.timezone", 7)
    assert read_policy(DEMO.replace("timezone: UTC", "timezone: Europe/Berlin"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("buckets: [", 1, "not valid YAML"),
        ("a: 1\nb: {c: d", 2, "not valid YAML"),
        ("a: 1\n{[1]: 2}", 2, "not valid YAML"),
        ("x: 1\n? [1]\n: 2", 2, "unhashable"),
        ("a: &x [1]\nb: *x", 2, "aliases"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]", 2, "tags"),
        ("!!int ''", 1, "tags"),
        ("!!bool x", 1, "tags"),
        ("[" * 60_000, 1, "nested"),
        ("{" * 60_000, 1, "nested"),
        ("- " * 30_000, 1, "nested"),
        ("a: 2001-99-99", None, "not valid YAML"),
        ("a: 1" + ":1" * 300 + ".0", None, "not valid YAML"),
        ("\0", None, "not valid YAML"),
        ("\ud800", None, "not valid YAML"),
        ("x" * MAX_BYTES * 20, None, "64 KiB"),
        ("", None, "is empty"),
        ("line two: 1", 1, "unknown"),
        ("? 0x" + "f" * 1000 + "\n: 1", 1, "a number that large"),
        (BUCKETS + "defaults: {max_tokens: 0x" + "f" * 20_000 + "}", 4, "a number that large"),
        (BUCKETS + 'defaults: {tier: "\\ud800"}', 4, "legible"),
        (BUCKETS + 'defaults: {tier: "a\\0b"}', 4, "legible"),
    ],
)
def test_garbage_is_a_problem_and_never_a_crash_or_a_hang(text: str, line: int | None, said: str) -> None:
    problems = problems_of(text)
    assert [problem for problem in problems if problem.line == line and said in problem.message], problems


def test_a_bomb_of_aliases_is_refused_before_it_is_built() -> None:
    levels = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]" for number in range(1, 30)]
    with pytest.raises(PolicyInvalid, match="aliases"):
        read_policy("\n".join(["a0: &a0 [x]", *levels]))


@given(st.text() | st.lists(st.sampled_from(list("{}[]:,-?&*!|>#%@\"' \n\tax01.~<")), max_size=40).map("".join))
def test_any_text_is_checked(text: str) -> None:
    assert problems_of(text)


@given(st.integers(0, len(DEMO) - 1), st.sampled_from(list("{}[]:,-?&*!|\"'\n x0")))
def test_any_slip_of_a_key_is_checked(place: int, typed: str) -> None:
    for problem in problems_of(DEMO[:place] + typed + DEMO[place + 1 :]):
        assert problem.message


def test_changes_are_told_in_words_by_path() -> None:
    old = read_policy(DEMO)
    new = read_policy(
        DEMO.replace("max_tokens: 384", "max_tokens: 400")
        .replace("name: fresh", "name: order")
        .replace("balanced: {temperature: 0.7}", "balanced: {temperature: 0.7, top_p: 0.8}")
        .replace("bucket: short}", "bucket: [short, medium]}")
    )
    words = changes_in_words(old, new)
    assert "defaults.max_tokens: 384 → 400." in words
    assert "profiles.balanced.top_p was added: 0.8." in words
    assert "rules.short-questions.when.bucket: short → short, medium." in words
    assert "rules.fresh.then.lane was removed (it was short)." in words
    assert "rules.order.then.lane was added: short." in words
    assert any(word.startswith("order of rules: fresh, ") for word in words)
    assert changes_in_words(old, old) == []


def test_a_rule_named_order_is_compared_like_any_other() -> None:
    old = DEMO.replace("name: fresh", "name: order")
    new = old.replace("then: {lane: short, max_tokens: 96, cache: {exact: false}}", "then: {lane: long}")
    assert "rules.order.then.lane: short → long." in changes_in_words(read_policy(old), read_policy(new))


def test_a_change_of_strategy_is_told_field_by_field() -> None:
    scored = DEMO.replace(
        "  lane: long\n",
        "  lane: long\n  strategy: scored\n  weights: {cost: 5}\n  canary: {deployment: x, share: 5}\n",
        1,
    )
    words = changes_in_words(read_policy(DEMO), read_policy(scored))
    assert words == [
        "defaults.canary.deployment was added: x.",
        "defaults.canary.share was added: 5.0.",
        "defaults.strategy: ordered → scored.",
        "defaults.weights.cost: 30.0 → 5.0.",
    ]
