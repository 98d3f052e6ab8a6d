"""Where and when a request is planned."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Surroundings:
    """``now`` in epoch seconds, and the minute of the day in each time zone that the policy names.

    ``environment`` is RELAY_ENV. ``draw``, 0 <= draw < 1, is the chance that splits go by.
    """

    now: float
    minute_of_day: Mapping[str, int]
    environment: str = "production"
    draw: float = 0.0
