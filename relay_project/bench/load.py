"""The client: a number of connections, each with one request after the other."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

import orjson

SYSTEM = (
    "You are a helpful assistant that answers questions about optics in one short paragraph, with no lists and no"
    " headings."
)
QUESTION = (
    "Explain why a glass prism separates white light into colours, and how lens designers correct the same effect in a"
    " camera lens."
)
TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    key: str
    path: str = "/v1/chat/completions"


@dataclass(slots=True)
class Outcome:
    """``errors``: what went wrong, and how often."""

    latencies_ms: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def p50_ms(self) -> float:
        return median(self.latencies_ms)

    def failed(self, what: str) -> None:
        self.errors[what] = self.errors.get(what, 0) + 1


def body(model: str, *, number: int | None = None, stream: bool = False, paced: bool = False) -> bytes:
    """With a number the prompt is unlike any other, and what it says still of the same kind."""
    question = QUESTION if number is None else f"{QUESTION} Case {number}."
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    asked = {"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 256}
    more = {"stream": True, "user": "paced"} if paced else {"stream": True} if stream else {}
    return orjson.dumps({**asked, **more})


async def drive(
    server: Server, bodies: Iterable[bytes], *, clients: int, expected: Mapping[str, str] | None = None
) -> Outcome:
    """Send every body. A status other than 200, or a header unlike the ``expected``, is an error."""
    outcome, waiting = Outcome(), iter(bodies)
    await asyncio.gather(*(_client(server, waiting, expected or {}, outcome) for _ in range(clients)))
    return outcome


async def _client(server: Server, bodies: Iterator[bytes], expected: Mapping[str, str], outcome: Outcome) -> None:
    """Raises OSError if nobody listens."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    wanted = [f"{name}: {value}\r\n".encode() for name, value in expected.items()]
    try:
        for asked in bodies:
            started = time.perf_counter()
            async with asyncio.timeout(TIMEOUT_S):
                writer.write(_request(server, asked))
                head, answer = await _answer(reader)
            outcome.latencies_ms.append((time.perf_counter() - started) * 1000)
            if not head.startswith(b"HTTP/1.1 200"):
                outcome.failed(f"status {head[9:12].decode()}: {answer[:200].decode(errors='replace')}")
            for header in wanted:
                if header not in head:
                    outcome.failed(f"not {header.decode().strip()}")
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        outcome.failed(type(error).__name__)
    finally:
        writer.close()


def _request(server: Server, asked: bytes) -> bytes:
    return (
        f"POST {server.path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(asked)}\r\n\r\n"
    ).encode() + asked


async def _answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    _, found, rest = head.lower().partition(b"content-length:")
    if found:
        return head, await reader.readexactly(int(rest.partition(b"\r\n")[0]))
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append(await reader.readexactly(size + 2))
    await reader.readexactly(2)
    return head, b"".join(part[:-2] for part in parts)
