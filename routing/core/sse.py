"""Server-sent events, as far as model servers use them: bytes in, the ``data`` of whole events out."""

MAX_EVENT_BYTES = 1024 * 1024
DONE = b"[DONE]"


class EventTooLarge(Exception):
    pass


class SseReader:
    """Feed it bytes as they come; a character split over two reads stays whole because nothing is decoded here."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The data of every event that is complete now. Raises EventTooLarge; comments and other fields are skipped."""
        buffer = self._buffer + data if self._buffer else data
        if b"\r" in buffer:
            held_back = b"\r" if buffer.endswith(b"\r") else b""  # perhaps half of a \r\n
            buffer = buffer.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n") + held_back
        *blocks, rest = buffer.split(b"\n\n")
        if len(rest) > MAX_EVENT_BYTES or any(len(block) > MAX_EVENT_BYTES for block in blocks):
            raise EventTooLarge
        self._buffer = rest
        return [event for block in blocks if (event := _data(block)) is not None]


def _data(block: bytes) -> bytes | None:
    if block.startswith(b"data:") and b"\n" not in block:
        return block[5:].lstrip(b" ")
    lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def frame(events: list[bytes]) -> bytes:
    """The wire form of events that hold no line break (JSON never does)."""
    return b"".join([b"data: " + event + b"\n\n" for event in events])
