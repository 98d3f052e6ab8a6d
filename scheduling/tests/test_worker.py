"""The consumer behind ``manage.py runworker lanes``."""

from typing import Any

from channels.layers import get_channel_layer
from channels.testing import ApplicationCommunicator
from channels_redis.core import RedisChannelLayer
from django.conf import settings

from scheduling.consumers import LanesConsumer
from scheduling.core.desk import Desk
from scheduling.core.lanes import DEFAULT_LANES


async def test_a_message_that_cannot_be_read_takes_nothing_down() -> None:
    layer = get_channel_layer()
    reply = await layer.new_channel()
    worker = ApplicationCommunicator(LanesConsumer.as_asgi(), {"type": "channel", "channel": "lanes"})
    desk = Desk("web", 1, DEFAULT_LANES)
    desk.asked("llama", 4, 0.0)
    await worker.send_input({"type": "lanes.report", "process": "broken"})
    await worker.send_input(dict(desk.report(seq=1, reply=reply, now=0.0)))
    order = await layer.receive(reply)
    assert (order["seq"], order["pools"]["llama"]["permits"]) == (1, 4)
    worker.stop()
    await layer.close_pools()


async def test_a_process_that_reads_no_orders_does_not_stop_the_others() -> None:
    layer = get_channel_layer()
    config: dict[str, Any] = settings.CHANNEL_LAYERS["default"]["CONFIG"]  # type: ignore[assignment]
    full = await RedisChannelLayer(**config).new_channel()
    hearing = await layer.new_channel()
    worker = ApplicationCommunicator(LanesConsumer.as_asgi(), {"type": "channel", "channel": "lanes"})
    deaf = Desk("deaf", 2, DEFAULT_LANES)
    for seq in range(1, layer.capacity + 20):
        await worker.send_input(dict(deaf.report(seq=seq, reply=full, now=0.0)))
    await worker.send_input(dict(Desk("hearing", 2, DEFAULT_LANES).report(seq=1, reply=hearing, now=0.0)))
    assert (await layer.receive(hearing))["seq"] == 1
    worker.stop()
    await layer.close_pools()
