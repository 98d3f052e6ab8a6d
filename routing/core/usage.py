"""What a request may use, what it used, and whether what a provider says of it can be true."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from routing.core.plan import Candidate, cost_microusd
from tenants.core.spend import Spend

TEMPLATE_TOKENS = 48  # what a provider's chat template may put around a short prompt
MARGIN_TOKENS = 16
PROMPT_EXTRA_TOKENS = 1_000  # instructions for tools and safety that a provider may add and count


@dataclass(frozen=True, slots=True)
class Asked:
    """Our estimate of the prompt, and how many tokens all choices together may have (None: not known any more)."""

    tokens_in: int
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A provider's ``usage``; ``hidden`` are the tokens of reasoning that it did not show."""

    tokens_in: int
    tokens_out: int
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What came: tokens by our estimate, characters of content, bytes of all that a message holds, choices."""

    tokens: int
    chars: int
    size: int
    choices: int


NO_TEXT = Text(0, 0, 0, 0)


def choices_of(body: Mapping[str, Any]) -> int:
    return int(body.get("n") or 1)


def most(candidate: Candidate, tokens_in: int, tokens_out: int) -> Spend:
    """What to hold: at three bytes a token instead of four a prompt is rarely more, whatever its script. What it is
    more all the same can pass a limit, by the requests that are under way at that moment. Where nothing is generated
    (embeddings) there is no template."""
    template = TEMPLATE_TOKENS if tokens_out else 0
    return spend_of(candidate, tokens_in * 4 // 3 + template, tokens_out)


def spend_of(candidate: Candidate, tokens_in: int, tokens_out: int) -> Spend:
    """Tokens with their price; not the request itself. Neurons a million tokens are millionths of a neuron a token."""
    return Spend(
        tokens=tokens_in + tokens_out,
        cost=cost_microusd(candidate, tokens_in, tokens_out),
        neurons=tokens_in * candidate.neurons_in + tokens_out * candidate.neurons_out,
    )


def believed(claim: Claim, asked: Asked, text: Text) -> tuple[int, int, str]:
    """Tokens in and out, and what was corrected ("" if nothing). A number that cannot be true gives way to our own.

    A prompt: our estimate (a token for four bytes) is wrong by less than ten times below and, since no token is less
    than a byte, four times above. An answer: no more than was asked for, nor than the bytes that came with what was
    hidden; no less than a token for twenty characters.
    """
    said = []
    tokens_in, tokens_out = claim.tokens_in, claim.tokens_out
    if not asked.tokens_in // 10 <= tokens_in + MARGIN_TOKENS or tokens_in > 4 * asked.tokens_in + PROMPT_EXTRA_TOKENS:
        tokens_in = asked.tokens_in
        said.append(f"{claim.tokens_in:,} tokens in; counted are {tokens_in:,}")
    allowed = text.size + claim.hidden + MARGIN_TOKENS * text.choices
    if asked.max_tokens is not None:
        allowed = min(allowed, asked.max_tokens * 5 // 4 + MARGIN_TOKENS)
    if not text.chars // 20 <= tokens_out + MARGIN_TOKENS or tokens_out > allowed:
        tokens_out = text.tokens
        said.append(f"{claim.tokens_out:,} tokens out; counted are {tokens_out:,}")
    return tokens_in, tokens_out, f"The provider said {' and '.join(said)}." if said else ""
