from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from traces.core.words import Facts, what_happened

NUMBERS = st.none() | st.floats(0, 1e7)
ATTEMPTS = st.lists(
    st.fixed_dictionaries(
        {"deployment": st.text(max_size=8), "outcome": st.sampled_from(["answered", "failed", "cancelled"])},
        optional={"status": st.none() | st.integers(200, 599), "duration_ms": NUMBERS, "model": st.text(max_size=8)},
    ),
    max_size=4,
)
CANDIDATES = st.lists(
    st.fixed_dictionaries({"deployment": st.text(max_size=8), "verdict": st.sampled_from(["first", "ruled out"])}),
    max_size=12,
)
FACTS = st.builds(
    Facts,
    outcome=st.sampled_from(["ok", "cached", "fell_back", "limited", "rejected", "failed", "cancelled"]),
    status=st.sampled_from([200, 400, 429, 502]),
    route=st.text(max_size=10),
    latency_ms=st.floats(0, 1e6),
    error_code=st.sampled_from(["", "queue_full"]),
    error_message=st.sampled_from(["", "The queue is full."]),
    policy=st.sampled_from(["", "chat-default"]),
    bucket=st.sampled_from(["", "short"]),
    cache=st.sampled_from(["off", "miss", "exact", "semantic", "replay"]),
    stream=st.booleans(),
    ttft_ms=NUMBERS,
    tokens_out=st.none() | st.integers(0, 9999),
    saved_microusd=st.integers(0, 10**7),
    plan=st.fixed_dictionaries({"candidates": CANDIDATES}, optional={"rule": st.none() | st.text(max_size=5)}),
    cached=st.fixed_dictionaries({}, optional={"similarity": NUMBERS, "threshold": NUMBERS}),
    scheduler=st.fixed_dictionaries(
        {}, optional={"decision": st.sampled_from(["granted", "degraded", "refused"]), "queue_wait_ms": NUMBERS}
    ),
    attempts=ATTEMPTS,
)


@given(FACTS)
def test_every_trace_is_told_in_whole_sentences(facts: Facts) -> None:
    sentences = what_happened(facts)

    assert 1 <= len(sentences) <= 5
    for sentence in sentences:
        assert sentence.endswith(".")
        assert sentence.count("`") % 2 == 0
        assert "None" not in sentence or facts.scheduler.get("decision") == "degraded"


def told(**facts: Any) -> str:
    defaults: dict[str, Any] = {"outcome": "ok", "status": 200, "route": "auto", "latency_ms": 900.0}
    return " ".join(what_happened(Facts(**defaults | facts)))


def test_a_fallback_names_who_failed_and_who_answered() -> None:
    attempts = [
        {"deployment": "a", "outcome": "failed", "status": 503, "duration_ms": 571},
        {"deployment": "b", "outcome": "answered", "model": "gpt", "duration_ms": 259},
    ]
    story = told(outcome="fell_back", attempts=attempts, tokens_out=1200, stream=True, ttft_ms=80)

    assert "`a` answered 503 after 571 ms, so Relay moved to `b` (`gpt`) answered in 259 ms" not in story
    assert "`a` answered 503 after 571 ms, so Relay moved to `b` (`gpt`), which answered in 259 ms" in story
    assert "with 1,200 tokens, first token after 80 ms" in story


def test_candidates_that_were_ruled_out_state_their_limit() -> None:
    out = {"verdict": "ruled out", "deployment": "c", "why": "Its context of 8,192 is too small."}
    story = told(policy="chat", policy_version=4, bucket="long", plan={"rule": "big", "candidates": [{}, out]})

    assert "policy `chat` v4 put it in the long bucket by rule `big`." in story
    assert "One of two candidates was ruled out (`c`: Its context of 8,192 is too small)." in story


def test_a_cached_answer_says_why_no_model_was_called() -> None:
    exact = told(outcome="cached", cache="exact", saved_microusd=2_000_000)
    similar = told(outcome="cached", cache="semantic", cached={"similarity": 0.9731, "threshold": 0.95})
    assert "Idempotency-Key was answered" in told(outcome="cached", cache="replay")

    assert "The same request was answered before, so no model was called; it took 900 ms and saved $2.00." in exact
    assert "A similar question (similarity 0.973, needs 0.95) was answered before" in similar


def test_waiting_degrading_and_refusing_name_the_lane() -> None:
    cut = {"lane": "short", "decision": "degraded", "max_tokens_before": 512, "max_tokens_after": 256}
    refused = {"lane": "short", "decision": "refused", "reason": "64 requests were waiting"}

    assert "It waited 1.20 s in lane `short`." in told(scheduler={"lane": "short", "queue_wait_ms": 1200})
    assert "To keep lane `short` in time, max_tokens was cut from 512 to 256." in told(scheduler=cut)
    assert "It waited 40 ms in lane `short`, and max_tokens was cut" in told(scheduler=cut | {"queue_wait_ms": 40})
    story = told(outcome="limited", status=429, error_code="queue_full", scheduler=refused)
    assert "Lane `short` had no room: 64 requests were waiting. The client received 429 `queue_full`." in story


def test_a_story_without_plan_attempts_or_answer_is_still_told() -> None:
    assert told(outcome="rejected", status=400, route="").startswith(
        "The client sent a request that Relay could not read."
    )
    assert told(attempts=[{"deployment": "a", "outcome": "cancelled"}], outcome="cancelled").endswith("after 900 ms.")
    assert "(similarity" not in told(outcome="cached", cache="semantic", cached={"similarity": 0.9})
