"""What web processes and the lane worker tell each other. Delivery is at most once, so each message is a full state.

Keys are short names, values plain, so that any channel layer can carry them.
"""

from typing import TypedDict


class PoolReport(TypedDict):
    capacity: int
    asked_s: float | None
    """Seconds since a request came with this capacity; the freshest one counts. None: known from an order only."""
    permits: int
    """In effect, together with ``limits``; 0 while other processes wait and the worker gives out every slot."""
    limits: dict[str, int]
    share: int
    """What the process would use on its own if the worker fell silent."""
    in_flight: dict[str, int]
    waiting: list[tuple[int, str, str, int, float]]
    """Number, lane, tenant, cost in tokens, seconds waited."""
    service_s: dict[str, float]


class Report(TypedDict):
    type: str
    process: str
    reply: str
    seq: int
    processes: int
    """How many there are by configuration: a process that knows no better uses capacity // processes."""
    worker: str
    """Whose order was applied last, and its number."""
    order: int
    lanes: list[tuple[str, int, int, int, int, int]]
    pools: dict[str, PoolReport]
    leaving: bool
    """The process ends; its slots are free."""


class PoolOrder(TypedDict):
    capacity: int
    permits: int
    limits: dict[str, int]
    share: int
    contended: bool
    others: dict[str, int]
    """Requests that wait in other processes, by lane."""
    granted: list[int]
    """Tickets that start now, each on a slot that is returned when it ends. Repeated until confirmed."""
    refused: list[tuple[int, float]]
    """Tickets beyond the queue's bound, each with its predicted wait in seconds."""
    predicted: list[tuple[int, float]]


class Order(TypedDict):
    type: str
    worker: str
    number: int
    seq: int
    """The newest report that this order knows of."""
    pools: dict[str, PoolOrder]
