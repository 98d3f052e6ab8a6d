"""How near two texts are in meaning, from the vectors of their pieces.

The score is the cosine itself, negative ones as 0: no curve is laid over it, so 0.9 is not "90 % right". It is for
comparing runs, where a fall says that answers moved away. It hardly sees a changed number, name or negation: there
``exact``, ``numeric`` or a judge decide.
"""

import textwrap

import numpy as np
from numpy.typing import NDArray

PIECE = 700  # characters, some 150 tokens of English; the embedder reads 256
MOST_PIECES = 24  # of one text; what is behind them is not compared


def pieces(text: str) -> list[str]:
    """At least one; cut at spaces where there are any."""
    return textwrap.wrap(text, PIECE)[:MOST_PIECES] or [""]


def closeness(mine: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """0 to 1, of (n, width) and (m, width) rows of length 1, one a piece. Each piece counts with the piece of the other
    text that is nearest to it, so for two short texts this is their cosine, and the order of pieces does not matter."""
    cosines = mine @ other.T
    both_ways = (cosines.max(axis=0).mean() + cosines.max(axis=1).mean()) / 2
    return round(min(1.0, max(0.0, float(both_ways))), 4)
