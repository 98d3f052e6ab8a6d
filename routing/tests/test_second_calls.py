"""What a process does when its budgets for second calls are spent: on a runtime of the test's own."""

import asyncio
from typing import Any

import orjson

from conftest import eventually
from routing.api import shell
from routing.core.retry_budget import Budget
from routing.pipeline import Reply
from routing.runtime import Runtime
from routing.tests.stage import Stage
from routing.tests.test_outage import steps, unplug
from routing.tests.upstream import refuses, says

NOTHING_LEFT = Budget(share=0.0, floor=0)


def ask_with_empty_budgets(stage: Stage, model: str) -> tuple[int, Any]:
    """Status and trace."""
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "hello"}]})

    async def read_body() -> bytes:
        return body

    async def ask() -> Reply:
        runtime = Runtime()
        await runtime.start()
        try:
            await runtime.loaded.wait()
            runtime.retries = runtime.hedges = NOTHING_LEFT
            headers = {"authorization": f"Bearer {stage.key()}"}
            reply = await shell.answer(runtime, shell.Endpoint(), headers, read_body)
            async for _ in reply.body:
                pass
            return reply
        finally:
            await runtime.stop()

    reply = asyncio.run(ask())
    return reply.head.status, stage.trace_by(id=reply.head.headers["x-relay-trace-id"])


def test_the_error_comes_at_once_and_the_trace_says_why(stage: Stage) -> None:
    model = stage.route(refuses(500), says("never asked"))
    status, trace = ask_with_empty_budgets(stage, model)
    assert (status, trace.error_code) == (503, "providers_failed")
    assert not stage.received(model, 1)
    assert steps(trace, "retry budget") == [("", "spent")]


def test_who_could_not_be_reached_was_not_called(stage: Stage) -> None:
    model = stage.route(says("nobody hears it"), says("second"))
    unplug(model)
    status, trace = eventually(lambda: _fell_back(stage, model))
    assert (status, trace.model) == (200, f"{model}-1")


def _fell_back(stage: Stage, model: str) -> Any:
    status, trace = ask_with_empty_budgets(stage, model)
    return (status, trace) if trace.outcome == "fell_back" else None


def test_who_is_slow_gets_no_rival(stage: Stage) -> None:
    model = stage.route(says("slow", gap_s=0.5), says("never asked"), hedge_after_ms=50)
    status, trace = ask_with_empty_budgets(stage, model)
    assert (status, trace.model) == (200, f"{model}-0")
    assert not stage.received(model, 1)
    assert steps(trace, "hedge") == [(f"{model}-0", "budget spent")]
