"""A public list of model prices, read without trusting it: prices as whole micro-dollars per million tokens.

The list is a JSON object, name -> entry, as litellm publishes it: ``litellm_provider``, ``mode``,
``input_cost_per_token`` and ``output_cost_per_token`` in dollars, ``max_input_tokens``. Names may begin with the
provider and a slash.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

DOLLARS_PER_TOKEN = Decimal(10) ** 12  # in micro-dollars per million tokens
MAX_PRICE_MICROUSD = 10_000 * 1_000_000  # per million tokens; what is dearer is a mistake
MODES = ("chat", "embedding")


class NotAPriceList(Exception):
    """The message says why, for people."""


@dataclass(frozen=True, slots=True)
class Price:
    """``context_window`` 0: not said."""

    vendor: str
    price_in: int
    price_out: int
    context_window: int = 0


@dataclass(frozen=True, slots=True)
class PriceList:
    prices: Mapping[str, Price] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)  # by entry; these are not used

    def find(self, vendors: tuple[str, ...], model: str) -> Price | None:
        for vendor in vendors:
            for name in (f"{vendor}/{model}", model):
                found = self.prices.get(name)
                if found is not None and found.vendor == vendor:
                    return found
        return None


def read_prices(raw: bytes) -> PriceList:
    """Raises NotAPriceList. Entries of other kinds (images, audio) are passed over."""
    try:
        document = json.loads(raw)  # reads NaN, too, which is then said of its entry
    except (ValueError, RecursionError):
        raise NotAPriceList("It is not JSON.") from None
    if not isinstance(document, dict):
        raise NotAPriceList("It must be a JSON object of entries by name.")
    prices: dict[str, Price] = {}
    problems: dict[str, str] = {}
    for name, entry in document.items():
        if isinstance(entry, dict) and entry.get("mode") not in MODES:
            continue
        try:
            prices[name] = _price(entry)
        except ValueError as problem:
            problems[name] = str(problem)
    return PriceList(prices, problems)


def _price(entry: Any) -> Price:
    if not isinstance(entry, dict) or not isinstance(entry.get("litellm_provider"), str):
        raise ValueError("It is no entry with a provider.")
    return Price(
        vendor=entry["litellm_provider"],
        price_in=_microusd(entry, "input_cost_per_token"),
        price_out=_microusd(entry, "output_cost_per_token"),
        context_window=_window(entry.get("max_input_tokens")),
    )


def _microusd(entry: Mapping[str, Any], name: str) -> int:
    """Rounded half up. A price that is not given is 0, as that of an embedding's output."""
    dollars = entry.get(name, 0)
    if dollars is None:
        return 0
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not math.isfinite(dollars):
        raise ValueError(f"{name} is not a number.")
    price = Decimal(str(dollars)) * DOLLARS_PER_TOKEN
    if not 0 <= price <= MAX_PRICE_MICROUSD:
        raise ValueError(f"{name} is not between $0 and $10,000 per million tokens.")
    return int(price.to_integral_value(ROUND_HALF_UP))


def _window(tokens: Any) -> int:
    if tokens is None:
        return 0
    if isinstance(tokens, bool) or not isinstance(tokens, int | float) or not 0 <= tokens < 2**31:
        raise ValueError("max_input_tokens is not a number of tokens.")
    return int(tokens)
