"""What every adapter offers: one method, one error. An adapter speaks OpenAI's chat JSON to the inside."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send: a deployment with its provider. Times in seconds."""

    deployment: str
    provider: str
    kind: str
    model: str
    base_url: str
    credential: str = field(default="", repr=False)
    connect_s: float = 2.0
    ttft_s: float = 30.0
    idle_s: float = 30.0
    total_s: float = 120.0
    options: Mapping[str, Any] = field(default_factory=dict)


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
