"""W3C trace context: what a client's ``traceparent`` and ``tracestate`` say, whether a trace is exported, and the ids
of Relay's spans.

Source: W3C Trace Context, sections 3.2 and 3.3 (https://www.w3.org/TR/trace-context/). Ids are text in lower-case
hexadecimal.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

LONGEST = 256  # characters; version 00 has 55
TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")
LONGEST_STATE, MOST_MEMBERS = 512, 32  # characters; members of its list
MEMBER = re.compile(r"[a-z0-9][a-z0-9_\-*/]{0,240}(@[a-z][a-z0-9_\-*/]{0,13})?=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
SAMPLED = 1
RANDOM_BITS = 56  # the end of a trace id that is random by level 2 of the specification, and in a UUIDv7


@dataclass(frozen=True, slots=True)
class Parent:
    """The client's span. ``state``: its ``tracestate``, which is other systems' and passed on as it came."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""

    @property
    def header(self) -> str:
        return _header(self.trace_id, self.span_id, sampled=self.sampled)


@dataclass(frozen=True, slots=True)
class Sampler:
    """``share`` of the traces, from 0 to 1; ``by_parent``: what the client decided counts, if it said so."""

    by_parent: bool
    share: float


def read_traceparent(header: str, state: str = "") -> Parent | None:
    """None for what is malformed: the specification wants it ignored. Later versions may say more at the end.

    ``state``: what came as ``tracestate``, of which a malformed one is ignored by itself.
    """
    match = TRACEPARENT.fullmatch(header) if len(header) <= LONGEST else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more is not None) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & SAMPLED), _state(state))


def _state(header: str) -> str:
    """The list as it came; empty if it is none."""
    members = [one.strip(" \t") for one in header.split(",")] if len(header) <= LONGEST_STATE else []
    given = [one for one in members if one]
    known = 0 < len(given) <= MOST_MEMBERS and all(MEMBER.fullmatch(one) for one in given)
    return ",".join(given) if known else ""


def read_sampler(name: str, argument: str) -> Sampler:
    """As OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say it. Raises ValueError, naming the variable."""
    kind = name.removeprefix("parentbased_")
    shares = {"always_on": 1.0, "always_off": 0.0, "traceidratio": 1.0}
    if kind not in shares:
        known = ", ".join([*shares, *(f"parentbased_{one}" for one in shares)])
        raise ValueError(f"OTEL_TRACES_SAMPLER must be one of {known}, not {name!r}.")
    share = shares[kind]
    if kind == "traceidratio" and argument:
        try:
            share = float(argument)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise ValueError(f"OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1, not {argument!r}.")
    return Sampler(by_parent=kind != name, share=share)


def is_sampled(sampler: Sampler, parent: Parent | None, trace: str) -> bool:
    """``trace``: Relay's own trace id, a UUID. The same answer wherever it is asked."""
    if parent is not None and sampler.by_parent:
        return parent.sampled
    end = trace_id_of(trace, parent)[-RANDOM_BITS // 4 :]
    return int(end, 16) < sampler.share * (1 << RANDOM_BITS)


def trace_id_of(trace: str, parent: Parent | None) -> str:
    """The client's, else Relay's own: so the id of an answer's header is found in the other system, too."""
    return parent.trace_id if parent is not None else trace.replace("-", "")


def span_id_of(trace: str, step: str) -> str:
    """Follows from the trace and the step: a provider is told a span that is written only later."""
    return blake2b(f"{trace}/{step}".encode(), digest_size=8).hexdigest()


def attempt_step(deployment: str) -> str:
    """A request asks a deployment at most once."""
    return f"attempt/{deployment}"


def attempt_header(trace: str, parent: Parent | None, deployment: str, *, sampled: bool) -> str:
    """``traceparent`` for the provider."""
    return _header(trace_id_of(trace, parent), span_id_of(trace, attempt_step(deployment)), sampled=sampled)


def _header(trace_id: str, span_id: str, *, sampled: bool) -> str:
    return f"00-{trace_id}-{span_id}-{SAMPLED if sampled else 0:02x}"
