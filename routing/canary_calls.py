"""Calls of canaries, kept with their traces until the tests have seen them (``CanaryCall`` says why)."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from routing.core.canary import LIVE, Call
from routing.core.canary_calls import call_in

# What ended meanwhile, or never was, takes no calls any more.
KEEP = """
    INSERT INTO public.routing_canarycall (canary_id, candidate, failed, latency_ms, ttft_ms, cost_microusd, trace_id)
    SELECT seen.canary, candidate, failed, latency, ttft, cost, trace
    FROM unnest(%s::bigint[], %s::bool[], %s::bool[], %s::float8[], %s::float8[], %s::float8[], %s::uuid[])
      WITH ORDINALITY AS seen (canary, candidate, failed, latency, ttft, cost, trace, place)
    JOIN public.routing_canary ON routing_canary.id = seen.canary AND state = ANY(%s)
    ORDER BY place
"""
TAKE = """
    DELETE FROM public.routing_canarycall WHERE id IN (
      SELECT id FROM public.routing_canarycall WHERE canary_id = %s ORDER BY id LIMIT %s
    ) RETURNING id, candidate, failed, latency_ms, ttft_ms, cost_microusd, trace_id
"""
FORGET = """
    DELETE FROM public.routing_canarycall WHERE NOT EXISTS (
      SELECT 1 FROM public.routing_canary WHERE routing_canary.id = canary_id AND state = ANY(%s)
    )
"""


def keep_calls(records: Sequence[Mapping[str, Any]]) -> None:
    """Of new traces, in their transaction."""
    found = [one for record in records if (one := call_in(record)) is not None]
    if found:
        rows = [(canary, *call) for canary, call in found]
        with connection.cursor() as cursor:
            cursor.execute(KEEP, [*(list(column) for column in zip(*rows, strict=True)), list(LIVE)])


def take_calls(canary: int, most: int) -> list[Call]:
    """The oldest ones, which are gone with this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [canary, most])
        return [Call(*row[1:]) for row in sorted(cursor.fetchall())]


def forget_calls() -> None:
    """Those of canaries that have ended."""
    with connection.cursor() as cursor:
        cursor.execute(FORGET, [list(LIVE)])
