"""Replays and runs are tested with what requests leave, so they need the stage of routing's tests."""

from routing.tests.conftest import base, stage, tenant_c

__all__ = ["base", "stage", "tenant_c"]
