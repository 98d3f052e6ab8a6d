"""The channel layer of settings.CHANNEL_LAYERS: Channels' own, for a Redis that may go away and come back."""

import asyncio
import logging
from typing import Any

from channels_redis.core import RedisChannelLayer
from redis.exceptions import RedisError

RETRY_S = 0.25
log = logging.getLogger("relay.lanes")


class PatientLayer(RedisChannelLayer):  # type: ignore[misc]
    """Who receives waits until Redis is back: Channels would end the worker, and with it the consumer.

    A Redis that never answered is an error, as its address may be wrong.
    """

    _met = False

    async def receive(self, channel: str) -> dict[str, Any]:
        if not self._met:
            await self.connection(0).ping()
            self._met = True
        away = False
        while True:
            try:
                message: dict[str, Any] = await super().receive(channel)
                return message
            except (RedisError, OSError) as error:
                if not away:
                    log.warning("lanes: Redis is away", extra={"error": str(error)})
                away = True
                await asyncio.sleep(RETRY_S)
