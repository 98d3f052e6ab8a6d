"""The lane worker, ``manage.py runworker lanes``: one for all web processes.

It keeps no state that matters: after a restart the board fills from the next reports. The board belongs to the
process, not to the consumer, because Channels throws a consumer away when one of its messages fails.
"""

import logging
import time
import uuid
from typing import Any, cast

from channels.consumer import AsyncConsumer
from channels.exceptions import ChannelFull
from redis.exceptions import RedisError

from scheduling.core.board import Board
from scheduling.core.messages import Order, Report

log = logging.getLogger("relay.lanes")


class LanesConsumer(AsyncConsumer):  # type: ignore[misc]
    board: Board | None = None

    async def lanes_report(self, message: dict[str, Any]) -> None:
        try:
            for channel, order in self._board().hear(cast(Report, message), time.monotonic()):
                await self._send(channel, order)
        except Exception:
            log.exception("lanes: a report could not be used")

    @classmethod
    def _board(cls) -> Board:
        if cls.board is None:
            cls.board = Board(uuid.uuid4().hex, time.monotonic())
        return cls.board

    async def _send(self, channel: str, order: Order) -> None:
        try:
            await self.channel_layer.send(channel, cast(dict[str, Any], order))
        except ChannelFull:
            log.warning("lanes: a web process does not read its orders")
        except (RedisError, OSError) as error:
            log.warning("lanes: an order is lost, Redis is away", extra={"error": str(error)})
