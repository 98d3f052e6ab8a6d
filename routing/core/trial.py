"""On which side of a route's canary a request is."""

from dataclasses import dataclass

from routing.core.split import draw_of


@dataclass(frozen=True, slots=True)
class Trial:
    """``candidate``: which side. ``name`` says what is tried, ``deployment`` is it where that is one, else empty.

    ``share``: percent that the candidate takes. Who is on its side stays there while the share grows.
    """

    canary: int
    candidate: bool
    name: str
    deployment: str
    share: int
    sticky: str
    draw: float

    @property
    def arm(self) -> str:
        return "candidate" if self.candidate else "base"

    @property
    def why(self) -> str:
        drawn = f"by {self.sticky}: {self.draw * 100:.1f} was drawn of 100"
        return f"Canary of {self.name}, stage {self.share} %, {drawn}, so the arm is the {self.arm}."


def trial_of(canary: int, *, name: str, deployment: str, share: int, sticky: str, identity: str) -> Trial:
    """``sticky`` says what stays on its side, ``identity`` which one it is. Canaries draw anew each, so that it is not
    always the same people who try things."""
    draw = draw_of(f"canary {canary}\n{sticky}\n{identity}")
    return Trial(canary, draw * 100 < share, name, deployment, share, sticky, draw)
