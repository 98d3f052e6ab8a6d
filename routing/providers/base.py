"""What every adapter offers: one method, one error. An adapter speaks OpenAI's chat JSON to the inside."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

MAX_ANSWER_BYTES = 16 * 1024 * 1024
UNREACHABLE, ADDRESS_REFUSED = "connection_failed", "address_refused"
NOT_SUPPORTED = "not_supported"  # what was asked is beyond this model; it is healthy, and another may do it
NOT_REACHED = frozenset({UNREACHABLE, ADDRESS_REFUSED})  # codes of attempts that no provider saw


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send: a deployment with its provider. Times in seconds."""

    deployment: str
    provider: str
    kind: str
    model: str
    base_url: str
    credential: str = field(default="", repr=False)
    allow_private: bool = False  # whether its address may be loopback or private
    connect_s: float = 2.0
    ttft_s: float = 30.0
    idle_s: float = 30.0
    total_s: float = 120.0
    hedge_s: float | None = None  # no first content after so long: the next candidate is asked as well
    options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # that go along with one request


class ProviderError(Exception):
    """An attempt that gave no answer. ``retryable``: another deployment may do better. ``status``: the provider's."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retryable: bool = True,
        status: int | None = None,
        retry_after_s: float | None = None,
        param: str | None = None,
    ) -> None:
        """``seen``, set by who reads the answer: the documents that came before it failed, which may tell its price."""
        super().__init__(message)
        self.code, self.retryable, self.status = code, retryable, status
        self.retry_after_s, self.param = retry_after_s, param
        self.seen: list[bytes] = []


class Adapter(Protocol):
    def chat(self, target: Target, payload: Mapping[str, Any], *, stream: bool) -> AsyncIterator[list[bytes]]:
        """JSON documents as they come: one ``chat.completion``, or ``chat.completion.chunk`` events in groups.

        A stream that ends without raising was complete. Raises ProviderError.
        """
        ...


@runtime_checkable
class Embeds(Protocol):
    """An adapter that has embeddings, too."""

    async def embed(self, target: Target, payload: Mapping[str, Any]) -> bytes:
        """OpenAI's list of embeddings, in either encoding. Raises ProviderError."""
        ...
