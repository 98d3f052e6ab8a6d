"""The console's pages of evals."""

from evals.gate_admin import ComparisonAdmin, GateAdmin

__all__ = ["ComparisonAdmin", "GateAdmin"]
