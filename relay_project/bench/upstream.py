"""`python -m relay_project.bench.upstream PORT`: a model server that answers at once, on one raw asyncio protocol.

A request with `"user": "paced"` gets its stream as a model gives it: a piece every 2 ms.
"""

import asyncio
import sys
from collections.abc import Iterator

import orjson

CHUNKS = 30
PACE_S = 0.002
WORDS = [f" word{number:02d} of" for number in range(CHUNKS)]
COMMON = {"id": "chatcmpl-bench", "created": 1_760_000_000, "model": "bench-1", "system_fingerprint": "fp_bench"}
USAGE = {"prompt_tokens": 86, "completion_tokens": 150, "total_tokens": 236}


def completion() -> bytes:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(WORDS), "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    body = orjson.dumps({**COMMON, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def stream() -> list[bytes]:
    """Each piece is one send: the head with the role, CHUNKS times content, the end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    usage = _piece(orjson.dumps({**COMMON, "object": "chat.completion.chunk", "choices": [], "usage": USAGE}))
    return [
        head + _piece(_chunk({"role": "assistant", "content": ""}, None)),
        *(_piece(_chunk({"content": word}, None)) for word in WORDS),
        _piece(_chunk({}, "stop")) + usage + _piece(b"[DONE]") + b"0\r\n\r\n",
    ]


def _chunk(delta: dict[str, str], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return orjson.dumps({**COMMON, "object": "chat.completion.chunk", "choices": [choice]})


def _piece(data: bytes) -> bytes:
    event = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


COMPLETION, STREAM = completion(), stream()


class Upstream(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (request := self._next()) is not None:
            if b'"user":"paced"' in request:
                self._pace(iter(STREAM), asyncio.get_running_loop())
                continue
            for piece in STREAM if b'"stream":true' in request else (COMPLETION,):
                self._transport.write(piece)

    def _pace(self, pieces: Iterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        piece = next(pieces, None)
        if piece is not None and not self._transport.is_closing():
            self._transport.write(piece)
            loop.call_later(PACE_S, self._pace, pieces, loop)

    def _next(self) -> bytes | None:
        """The body of the next whole request."""
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return None
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(rest) < length:
            return None
        self._received = rest[length:]
        return rest[:length]


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
