"""What each field of a policy takes and means, as the editor shows it beside the text."""

from dataclasses import dataclass

from routing.core.policy_reading import BUCKETS, CACHE_SCOPES, LANES, MAX_TOKENS, MAX_TTL_S, MAX_WEIGHT, SAMPLING, SLO
from routing.core.strategies import FAST_BURN, SLOW_BURN, STRATEGIES
from routing.core.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    takes: str
    means: str


@dataclass(frozen=True, slots=True)
class Section:
    """``path`` is where its fields stand, in the first of several rules."""

    path: str
    means: str
    fields: tuple[Field, ...]

    @property
    def title(self) -> str:
        return self.path.replace(".0.", ".*.")


def _one_of(names: tuple[str, ...]) -> str:
    return ", ".join(names)


_WEIGHT = f"0 to {MAX_WEIGHT:g}"
_SETTINGS = (
    Field("tier", "a name", "Kept in the trace; answers of one tier never serve another from the cache."),
    Field("lane", _one_of(LANES), "The lane in which it waits for a slot."),
    Field("decoding", "a profile", "Sampling parameters for what the client left open."),
    Field(
        "max_tokens", f"1 to {MAX_TOKENS:,}", "The most a client may ask for, and what it gets if it asks for nothing."
    ),
    Field("temperature", "0 to 2", "Where the client sent none."),
    Field("cache", "a mapping", "See defaults.cache."),
    Field("candidates", "names", "The route's deployments to use, in this order; others are left out."),
    Field("strategy", _one_of(tuple(STRATEGIES)), "In which order candidates are asked; see the list below."),
    Field("weights", "a mapping", "See defaults.weights; for the strategy scored."),
    Field("task", _one_of(TASKS), "Fixes the task; otherwise the request's metadata or its words tell it."),
    Field("slo", f"{SLO[0]:g} to {SLO[1]:g}", "The share of requests that should be answered; for slo_burn_aware."),
    Field("canary", "{deployment, share}", "Which deployment gets what percent; for the strategy canary."),
)
REFERENCE = (
    Section(
        "defaults",
        "What holds unless a rule's “then” says otherwise; “then” takes the same fields.",
        _SETTINGS,
    ),
    Section(
        "defaults.weights",
        "The most points of each factor; at least one must be above 0.",
        (
            Field("cost", _WEIGHT, "All for free, half at a dollar per million tokens."),
            Field("quota", _WEIGHT, "The part of its tightest limit that is left."),
            Field("health", _WEIGHT, "All without errors, none at 5 %, as many taken away from 10 % on."),
            Field("latency", _WEIGHT, "Half at 2 s: the measured p95, or the typical one below 20 samples."),
            Field("task", _WEIGHT, "The deployment's strength in the request's task; middling where it states none."),
            Field(
                "environment",
                _WEIGHT,
                "RELAY_ENV development: all for local ones; elsewhere the quality of those preferred in production.",
            ),
        ),
    ),
    Section(
        "defaults.cache",
        "Which earlier answers may be used again.",
        (
            Field("exact", "true or false", "For the same request."),
            Field("semantic", "true or false", "For a question alike."),
            Field("threshold", "0.5 to 1", "How much alike."),
            Field("ttl_s", f"1 to {MAX_TTL_S:,}", "Seconds that an answer is kept."),
            Field("scope", _one_of(CACHE_SCOPES), "Who shares answers."),
        ),
    ),
    Section(
        "rules.0.when",
        "Of each rule; all that is named must hold. The first rule that holds wins.",
        (
            Field("bucket", _one_of(BUCKETS), "The request's size; one or a list."),
            Field("model", "names", "The model that the client asked for."),
            Field("key", "names", "The API key's name."),
            Field("metadata", "a mapping", "Text that the request's metadata must hold."),
            Field("hours", '{from: "22:00", to: "06:00", timezone}', "A time of day; may run over midnight."),
            Field("task", _one_of(TASKS), "The request's task; one or a list."),
        ),
    ),
    Section(
        "profiles.NAME",
        "Sampling parameters under a name.",
        tuple(
            Field(name, f"{low:g} to {high:g}", "Where the client sent none.") for name, (low, high) in SAMPLING.items()
        ),
    ),
    Section(
        "buckets.short",
        "The same for medium; long takes the rest.",
        (
            Field("max_input_tokens", f"1 to {MAX_TOKENS:,}", "Estimated tokens of the request."),
            Field("max_output_tokens", f"1 to {MAX_TOKENS:,}", "Tokens that the client asks for."),
        ),
    ),
)
STRATEGIES_IN_WORDS = (
    Field("ordered", "", "In the route's order."),
    Field("scored", "", "Most points first."),
    Field("cheapest", "", "By what the request can cost at most."),
    Field("fastest_p95", "", "By the measured p95, or the typical latency until there is one."),
    Field(
        "slo_burn_aware",
        "",
        f"In order, but those behind that burn their error budget {FAST_BURN:g}x over 1 h and 5 min,"
        f" or {SLOW_BURN:g}x over 6 h and 30 min.",
    ),
    Field("weighted", "", "One drawn by the route's shares first; each arm has a cache of its own."),
    Field(
        "canary",
        "",
        "The canary first for its share of requests, last for the others; each arm has a cache of its own.",
    ),
)
