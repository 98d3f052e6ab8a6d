"""A client's ``traceparent``, which traces are exported, and the ids that a provider is told."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traces.core.ids import uuid7
from traces.core.trace_context import (
    Parent,
    Sampler,
    attempt_header,
    attempt_step,
    is_sampled,
    read_sampler,
    read_traceparent,
    span_id_of,
    trace_id_of,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
traces = st.builds(uuid7, st.floats(1e9, 2e9), st.binary(min_size=10, max_size=10))
ids = st.integers(1, 2**64 - 1)
parents = st.builds(lambda t, s, f: Parent(f"{t:032x}", f"{s:016x}", f), ids, ids, st.booleans())


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("02", False)])
def test_the_clients_span_is_the_parent(flags: str, sampled: bool) -> None:
    assert read_traceparent(f"00-{TRACE}-{SPAN}-{flags}") == Parent(TRACE, SPAN, sampled)


def test_a_later_version_may_say_more() -> None:
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like") == Parent(TRACE, SPAN, True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-{'x' * 300}",
        f"cc-{TRACE}-{SPAN}-01-\r\nX-Evil: 1",
    ],
)
def test_what_is_malformed_is_ignored(header: str) -> None:
    assert read_traceparent(header) is None


@pytest.mark.parametrize(
    ("state", "kept"),
    [
        ("", ""),
        ("congo=t61rcWkgMzE", "congo=t61rcWkgMzE"),
        ("rojo=00f067aa, congo=t61 rcWk ,", "rojo=00f067aa,congo=t61 rcWk"),
        ("fw529a3039@dt=FfffFFff,0a/b*c=1", "fw529a3039@dt=FfffFFff,0a/b*c=1"),
        ("Congo=1", ""),
        ("congo", ""),
        ("congo=a=b", ""),
        ("congo=1\r\nX-Evil: 1", ""),
        ("congo=é", ""),
        (",".join(f"k{number}=v" for number in range(33)), ""),
        (f"congo={'x' * 600}", ""),
    ],
)
def test_the_state_of_other_systems_is_passed_on_or_ignored(state: str, kept: str) -> None:
    assert read_traceparent(f"00-{TRACE}-{SPAN}-01", state) == Parent(TRACE, SPAN, True, kept)
    assert read_traceparent("nonsense", state) is None


@given(st.text(st.sampled_from(string.printable + "é"), max_size=300))
def test_any_header_is_read_or_ignored(header: str) -> None:
    found = read_traceparent(header)
    assert found is None or header.startswith(f"{header[:2]}-{found.trace_id}-{found.span_id}-")


@given(parents)
def test_what_is_passed_on_is_read_as_the_same(parent: Parent) -> None:
    assert read_traceparent(parent.header) == parent


@pytest.mark.parametrize(
    ("name", "argument", "wanted"),
    [
        ("always_on", "", Sampler(False, 1.0)),
        ("always_off", "0.5", Sampler(False, 0.0)),
        ("traceidratio", "0.25", Sampler(False, 0.25)),
        ("parentbased_traceidratio", "", Sampler(True, 1.0)),
        ("parentbased_always_off", "", Sampler(True, 0.0)),
    ],
)
def test_samplers_are_named_as_the_standard_has_them(name: str, argument: str, wanted: Sampler) -> None:
    assert read_sampler(name, argument) == wanted


@pytest.mark.parametrize(
    ("name", "argument", "said"),
    [
        ("jaeger_remote", "", "OTEL_TRACES_SAMPLER must be one of"),
        ("traceidratio", "half", "OTEL_TRACES_SAMPLER_ARG"),
        ("traceidratio", "1.5", "OTEL_TRACES_SAMPLER_ARG"),
        ("traceidratio", "nan", "OTEL_TRACES_SAMPLER_ARG"),
    ],
)
def test_a_sampler_that_is_none_is_refused_by_name(name: str, argument: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_sampler(name, argument)


@given(parents, traces, st.floats(0, 1))
def test_the_client_decides_if_its_word_counts(parent: Parent, trace: str, share: float) -> None:
    assert is_sampled(Sampler(True, share), parent, trace) is parent.sampled
    assert is_sampled(Sampler(False, 1.0), parent, trace) and not is_sampled(Sampler(False, 0.0), parent, trace)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_of_relays_own_traces_the_share_is_taken(share: float) -> None:
    """Their ids are UUIDs, of which not all bits are random: it must be decided by those that are."""
    made = [
        uuid7(1.8e9, number.to_bytes(2) + (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8)) for number in range(4000)
    ]
    taken = sum(is_sampled(Sampler(True, share), None, trace) for trace in made)
    assert abs(taken / len(made) - share) < 0.05


@given(traces, parents | st.none(), st.text(min_size=1, max_size=64), st.booleans())
def test_a_provider_is_told_the_span_of_its_attempt(
    trace: str, parent: Parent | None, deployment: str, sampled: bool
) -> None:
    told = read_traceparent(attempt_header(trace, parent, deployment, sampled=sampled))
    assert told == Parent(trace_id_of(trace, parent), span_id_of(trace, attempt_step(deployment)), sampled)
    assert told.trace_id == (parent.trace_id if parent else trace.replace("-", ""))
