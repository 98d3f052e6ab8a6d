import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from routing.core.defaulting import with_default
from routing.core.policy import PolicyDocument, Settings, Weights
from routing.core.policy_reading import parse
from routing.core.strategies import STRATEGIES

BUCKETS = (
    "buckets: {short: {max_input_tokens: 1, max_output_tokens: 1}, medium: {max_input_tokens: 2, max_output_tokens: 2}}"
)
DEFAULT = Settings(strategy="scored", weights=Weights(cost=99.0), slo=0.9, max_tokens=7)


def document(defaults: str = "{}", rules: str = "[]") -> PolicyDocument:
    return parse(yaml.safe_load(f"{BUCKETS}\ndefaults: {defaults}\nrules: {rules}"))


def test_a_policy_without_a_strategy_takes_over_the_order_and_nothing_else() -> None:
    taken = with_default(document("{lane: long, max_tokens: 40}"), DEFAULT).defaults
    assert (taken.strategy, taken.weights.cost, taken.slo) == ("scored", 99.0, 0.9)
    assert (taken.lane, taken.max_tokens) == ("long", 40)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES.keys() - {"canary"}))
def test_a_policy_with_a_strategy_stays_as_it_is(strategy: str) -> None:
    own = document(f"{{strategy: {strategy}}}")
    assert with_default(own, DEFAULT) is own


def test_what_a_policy_names_of_the_rest_stays() -> None:
    taken = with_default(document("{slo: 0.95, weights: {cost: 1}}"), DEFAULT).defaults
    assert (taken.strategy, taken.slo, taken.weights.cost) == ("scored", 0.95, 1.0)


def test_a_rule_goes_before_the_default() -> None:
    ruled = with_default(document(rules="[{name: r, when: {bucket: long}, then: {strategy: cheapest}}]"), DEFAULT)
    assert ruled.rules[0].then == {"strategy": "cheapest"}


@given(st.sampled_from(sorted(STRATEGIES)), st.sampled_from(sorted(STRATEGIES)))
def test_the_last_default_counts(first: str, second: str) -> None:
    once = with_default(document(), Settings(strategy=second))
    assert with_default(with_default(document(), Settings(strategy=first)), Settings(strategy=second)) == once
