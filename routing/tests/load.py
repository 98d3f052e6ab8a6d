"""Concurrent clients that keep asking until they are stopped, and note what each request was answered."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from conftest import unique
from routing.tests.own_stack import OwnStack

CLIENTS = 8
MOST_REQUESTS = 20_000  # of all clients: a load that nobody stops comes to an end


@dataclass(frozen=True, slots=True)
class Answered:
    key: str
    request_id: str
    status: int
    retry_after: str
    whole: bool
    """What it said is complete: no stream that broke off."""


class Load:
    """Half of the clients have a quota; every second request of each is a stream."""

    def __init__(self, own: OwnStack) -> None:
        self._own = own
        self._name = unique("load")
        self._stopping = threading.Event()
        self.answered: list[Answered] = []

    def stop(self) -> None:
        self._stopping.set()

    def good(self, key: str, since: int = 0) -> int:
        """Requests with this key that were answered well, among those after the first ``since``."""
        return sum(one.key == key and one.status == 200 for one in self.answered[since:])

    def run(self, number: int) -> None:
        key = (self._own.free, self._own.limited)[number % 2]
        with httpx.Client(timeout=30) as client:
            for count in range(MOST_REQUESTS // CLIENTS):
                if self._stopping.is_set():
                    return
                self.answered.append(self._ask(client, key, f"{self._name}-{number}-{count}", stream=bool(count % 2)))

    def _ask(self, client: httpx.Client, key: str, request_id: str, *, stream: bool) -> Answered:
        answer = self._own.ask(key, client, stream=stream, headers={"x-request-id": request_id})
        whole = not stream or answer.text.endswith("data: [DONE]\n\n")
        return Answered(key, request_id, answer.status_code, answer.headers.get("retry-after", ""), whole)


@contextmanager
def under_load(own: OwnStack) -> Iterator[Load]:
    """A client that cannot reach Relay at all fails the test when the load ends."""
    load = Load(own)
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(load.run, number) for number in range(CLIENTS)]
        try:
            yield load
        finally:
            load.stop()
    for client in clients:
        client.result()
