from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from routing.core.policy import CacheRule, Canary, Hours, PolicyDocument, PolicyInvalid, Settings, Weights, apply
from routing.core.policy_reading import parse

DEMO = Path(__file__).parents[2] / "policies" / "policy.demo.yaml"
BUCKETS = {
    "short": {"max_input_tokens": 100, "max_output_tokens": 100},
    "medium": {"max_input_tokens": 200, "max_output_tokens": 200},
}
NOTHING = {"cost": 0, "quota": 0, "health": 0, "latency": 0, "task": 0, "environment": 0}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=15
)


def document(**more: Any) -> dict[str, Any]:
    return {"buckets": BUCKETS, "profiles": {"precise": {"temperature": 0.2}}, "defaults": {}, **more}


def rule(**more: Any) -> dict[str, Any]:
    return document(rules=[{"name": "one", "then": {}, **more}])


def paths(data: Any) -> set[str]:
    with pytest.raises(PolicyInvalid) as refused:
        parse(data)
    assert all(problem.message.endswith(".") and len(problem.message) < 400 for problem in refused.value.problems)
    return {".".join(map(str, problem.path)) for problem in refused.value.problems}


@given(ANYTHING)
def test_any_data_is_a_policy_or_a_list_of_problems(data: Any) -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse(data)
    assert refused.value.problems


@given(st.sampled_from(["description", "buckets", "profiles", "defaults", "rules"]), ANYTHING)
def test_anything_in_any_field_is_read_or_refused_with_that_fields_path(name: str, value: Any) -> None:
    try:
        parse(document(**{name: value}))
    except PolicyInvalid as error:
        assert {problem.path[0] for problem in error.problems} <= {name, "defaults", "rules"}


@given(ANYTHING, ANYTHING)
def test_anything_in_a_rule_is_read_or_refused_inside_the_rules(when: Any, then: Any) -> None:
    try:
        parse(rule(when=when, then=then))
    except PolicyInvalid as error:
        assert {problem.path[:2] for problem in error.problems} == {("rules", 0)}


def test_the_demo_policy_is_read_whole() -> None:
    policy = parse(yaml.safe_load(DEMO.read_text()))
    assert [one.name for one in policy.rules] == ["fresh", "short-questions", "night-batch", "medium-questions"]
    assert policy.defaults == Settings(
        tier="standard", lane="long", decoding="balanced", max_tokens=384, cache=CacheRule(semantic=False, ttl_s=3600)
    )
    assert policy.rules[2].when.hours == Hours(22 * 60, 6 * 60, "UTC")
    assert policy.rules[1].when.bucket == ("short",)


def test_a_rule_overrides_field_by_field_also_inside_the_cache() -> None:
    base = Settings(tier="fast", cache=CacheRule(semantic=True, ttl_s=5))
    assert apply(base, {"lane": "long"}) == Settings(tier="fast", lane="long", cache=base.cache)
    assert apply(base, {"cache": {"exact": False}}).cache == CacheRule(exact=False, semantic=True, ttl_s=5)
    assert apply(base, {"weights": {"cost": 50.0}}).weights == Weights(cost=50.0)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (5, ""),
        (document(extra=1), "extra"),
        (document(**{"descri\0ption": 1}), ""),
        ({"defaults": {}, 5: 1}, ""),
        (document(description=""), "description"),
        (document(description="x" * 201), "description"),
        (document(description="\0"), "description"),
        (document(description="\ud800"), "description"),
        (document(buckets=[]), "buckets"),
        (document(buckets={**BUCKETS, "long": {}}), "buckets.long"),
        (document(buckets={**BUCKETS, "short": {"max_input_tokens": 1}}), "buckets.short.max_output_tokens"),
        (
            document(buckets={**BUCKETS, "short": {**BUCKETS["short"], "max_input_tokens": 0}}),
            "buckets.short.max_input_tokens",
        ),
        (document(buckets={**BUCKETS, "medium": {"max_input_tokens": 1, "max_output_tokens": 500}}), "buckets.medium"),
        (document(profiles=5), "profiles"),
        (document(profiles={"x": {"top_k": 5}}), "profiles.x.top_k"),
        (document(profiles={"x": {"top_p": 1.1}}), "profiles.x.top_p"),
        (document(profiles={"x": {"top_p": True}}), "profiles.x.top_p"),
        (document(defaults={"tier": 5}), "defaults.tier"),
        (document(defaults={"lane": "medium"}), "defaults.lane"),
        (document(defaults={"decoding": "wild"}), "defaults.decoding"),
        (document(profiles={}, defaults={"decoding": "precise"}), "defaults.decoding"),
        (document(defaults={"max_tokens": 1.0}), "defaults.max_tokens"),
        (document(defaults={"max_tokens": 16**5000}), "defaults.max_tokens"),
        (document(defaults={"max_tokens": True}), "defaults.max_tokens"),
        (document(defaults={"temperature": float("nan")}), "defaults.temperature"),
        (document(defaults={"candidates": []}), "defaults.candidates"),
        (document(defaults={"candidates": ["a", 5]}), "defaults.candidates.1"),
        (document(defaults={"cache": True}), "defaults.cache"),
        (document(defaults={"cache": {"exact": "yes"}}), "defaults.cache.exact"),
        (document(defaults={"cache": {"semantic": 1}}), "defaults.cache.semantic"),
        (document(defaults={"cache": {"threshold": 0.4}}), "defaults.cache.threshold"),
        (document(defaults={"cache": {"ttl_s": 0}}), "defaults.cache.ttl_s"),
        (document(defaults={"cache": {"scope": "everybody"}}), "defaults.cache.scope"),
        (document(defaults={"cache": {"on": True}}), "defaults.cache.on"),
        (document(defaults={"strategy": "random"}), "defaults.strategy"),
        (document(defaults={"weights": {"luck": 5}}), "defaults.weights.luck"),
        (document(defaults={"weights": {"cost": -1}}), "defaults.weights.cost"),
        (document(defaults={"weights": {"cost": 101}}), "defaults.weights.cost"),
        (document(defaults={"weights": NOTHING}), "defaults.weights"),
        (document(defaults={"task": "gardening"}), "defaults.task"),
        (document(defaults={"slo": 1}), "defaults.slo"),
        (document(defaults={"slo": 99}), "defaults.slo"),
        (document(defaults={"strategy": "canary"}), "defaults.canary"),
        (document(defaults={"canary": "x"}), "defaults.canary"),
        (document(defaults={"canary": {"share": 5}}), "defaults.canary.deployment"),
        (document(defaults={"canary": {"deployment": "new"}}), "defaults.canary.share"),
        (document(defaults={"canary": {"deployment": "New one", "share": 5}}), "defaults.canary.deployment"),
        (document(defaults={"canary": {"deployment": "new", "share": 101}}), "defaults.canary.share"),
        (document(defaults={"canary": {"deployment": "new", "share": -1}}), "defaults.canary.share"),
        (rule(then={"strategy": "canary"}), "rules.0.then.canary"),
        (rule(then={"weights": NOTHING}), "rules.0.then.weights"),
        (rule(when={"task": "gardening"}), "rules.0.when.task"),
        (document(rules={}), "rules"),
        (document(rules=["x"]), "rules.0"),
        (document(rules=[{"then": {}}]), "rules.0.name"),
        (document(rules=[{"name": "x"}]), "rules.0.then"),
        (document(rules=[{"name": "x", "then": {}}] * 2), "rules"),
        (rule(then={"lane": None}), "rules.0.then.lane"),
        (rule(when=[]), "rules.0.when"),
        (rule(when={"user": "x"}), "rules.0.when.user"),
        (rule(when={"bucket": "tiny"}), "rules.0.when.bucket"),
        (rule(when={"bucket": 5}), "rules.0.when.bucket"),
        (rule(when={"model": []}), "rules.0.when.model"),
        (rule(when={"key": [""]}), "rules.0.when.key.0"),
        (rule(when={"metadata": {"job": 5}}), "rules.0.when.metadata.job"),
        (rule(when={"hours": None}), "rules.0.when.hours.from"),
        (rule(when={"hours": {"from": 1320, "to": "06:00"}}), "rules.0.when.hours.from"),
        (rule(when={"hours": {"from": "22:00", "to": "6:00"}}), "rules.0.when.hours.to"),
        (rule(when={"hours": {"from": "22:00", "to": "24:01"}}), "rules.0.when.hours.to"),
        (rule(when={"hours": {"from": "22:00", "to": "06:00", "timezone": 1}}), "rules.0.when.hours.timezone"),
    ],
)
def test_each_mistake_is_found_where_it_stands(data: Any, path: str) -> None:
    assert path in paths(data)


def test_all_mistakes_are_told_at_once_in_words() -> None:
    with pytest.raises(PolicyInvalid) as refused:
        parse(document(defaults={"lane": "fast", "max_tokens": 0}, extra=1))
    assert len(refused.value.problems) == 3
    assert "defaults.lane: must be one of short, long, not 'fast'." in str(refused.value)
    assert "" in paths(None)


def test_a_good_document_takes_single_names_lists_and_whole_days() -> None:
    hours = {"from": "00:00", "to": "24:00"}
    policy: PolicyDocument = parse(
        rule(when={"bucket": ["short", "long"], "model": "a", "key": ["k"], "metadata": {"a": "b"}, "hours": hours})
    )
    when = policy.rules[0].when
    assert (when.bucket, when.model, when.key) == (("short", "long"), ("a",), ("k",))
    assert when.hours == Hours(0, 1440, "UTC")
    assert parse(document(rules=None, profiles=None)).rules == ()


def test_a_rule_may_lean_on_the_defaults_for_its_canary_and_its_weights() -> None:
    trial = {"deployment": "new-one", "share": 2.5}
    policy = parse(
        document(
            defaults={"canary": trial, "weights": {**NOTHING, "cost": 40}},
            rules=[
                {"name": "trial", "when": {"task": ["coding", "chat"]}, "then": {"strategy": "canary", "slo": 0.999}},
                {"name": "free", "then": {"strategy": "scored", "weights": {"task": 5}, "task": "speed"}},
            ],
        )
    )
    assert policy.defaults.canary == Canary("new-one", 2.5)
    assert policy.rules[0].when.task == ("coding", "chat")
    assert apply(policy.defaults, policy.rules[1].then).weights == Weights(40, 0, 0, 0, 5, 0)
    with pytest.raises(PolicyInvalid, match=r"rules\.1\.then\.weights: are all 0"):
        parse(
            document(
                defaults={"weights": {**NOTHING, "cost": 40}},
                rules=[{"name": "a", "then": {}}, {"name": "b", "then": {"weights": {"cost": 0}}}],
            )
        )
