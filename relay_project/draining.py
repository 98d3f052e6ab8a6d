"""How a web process ends without losing a request: not ready first, then closed, then gone.

    SIGTERM    /v1/readyz answers 503, and every answer closes its connection: balancers and clients go elsewhere,
               while whoever still comes is served
    later      after RELAY_DRAIN_S, or at a second SIGTERM, the server gets the signal: it closes its listener
    then       the server lets running requests and streams end, for as long as it was told to, and stops

Asks of the server that it sets its handler of SIGTERM before the lifespan starts, as uvicorn does in each of its
processes. With RELAY_DRAIN_S=0, or under a server without a lifespan, the signal goes to the server at once.
"""

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]

READY_PATH = "/v1/readyz"
NOT_READY = b'{"status": "draining"}'
CLOSE = (b"connection", b"close")
log = logging.getLogger("relay.draining")


class Draining:
    def __init__(self, application: App, seconds: float) -> None:
        self._application = application
        self._seconds = seconds
        self._began = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            self._await_the_signal()
        elif self._began and scope["type"] == "http":
            send = _closing(send)
            if scope["path"] == READY_PATH:
                await _not_ready(send)
                return
        await self._application(scope, receive, send)

    def _await_the_signal(self) -> None:
        stop = signal.getsignal(signal.SIGTERM)
        if not (self._seconds and callable(stop) and threading.current_thread() is threading.main_thread()):
            return
        loop = asyncio.get_running_loop()

        def begin(number: int, frame: Any) -> None:
            if self._began:
                stop(number, frame)
                return
            self._began = True
            loop.call_soon_threadsafe(loop.call_later, self._seconds, stop, number, None)
            log.info("draining: not ready any more", extra={"seconds": self._seconds})

        signal.signal(signal.SIGTERM, begin)


def _closing(send: Send) -> Send:
    async def closing(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), CLOSE]}
        await send(message)

    return closing


async def _not_ready(send: Send) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(NOT_READY)).encode())]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": NOT_READY})
