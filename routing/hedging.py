"""Two candidates asked for the same: whoever gives content first answers, the other is told to stop.

A runner's generator is stepped in a task of its own up to its first content and from then on by the request's task.
However it ends, no runner is left: each one's upstream, slot and trace entry are its own generator's to clean up.
"""

import asyncio
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Generic, Self, TypeVar

Name = TypeVar("Name")
Groups = AsyncGenerator[list[bytes], None]


class Race(Generic[Name]):
    """Made for one request; ``name`` is whatever the caller knows a runner by."""

    def __init__(self) -> None:
        self._runners: dict[asyncio.Task[list[bytes]], tuple[Name, Groups]] = {}

    async def __aenter__(self) -> Self:
        return self

    def enter(self, name: Name, groups: Groups) -> None:
        self._runners[asyncio.create_task(_first(groups))] = name, groups

    async def over(self, within_s: float) -> bool:
        """Whether anybody gave content, or failed, in this time."""
        done, _ = await asyncio.wait(self._runners, timeout=within_s)
        return bool(done)

    async def winner(self) -> tuple[Name, Groups, list[bytes]]:
        """The first with content. If nobody gives any: raises the last one's error; one that is not ``retryable``
        would befall everybody, so nobody else is waited for."""
        while True:
            done, _ = await asyncio.wait(self._runners, return_when=asyncio.FIRST_COMPLETED)
            for task in [one for one in self._runners if one in done]:  # those that end together: in order
                name, groups = self._runners.pop(task)
                error = task.exception()
                if error is None:
                    return name, groups, task.result()
                if not self._runners or not getattr(error, "retryable", True):
                    raise error

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._runners:
            task.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        for _, groups in self._runners.values():
            await groups.aclose()


async def _first(groups: Groups) -> list[bytes]:
    return await anext(groups)
