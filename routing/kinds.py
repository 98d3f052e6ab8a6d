"""The kinds of requests: chat, and where infer and embeddings differ from it. Everything else is one pipeline."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson

from routing import answers
from routing.answers import Usage
from routing.core import embeddings
from routing.core.features import estimate_input
from routing.core.infer import parse_infer
from routing.core.nesting import read_json
from routing.core.plan import ExecutionPlan
from routing.core.request import Called, ChatRequest, Json, parse_chat, prompt_line
from routing.core.usage import NO_TEXT, Asked, Claim, believed
from routing.providers.base import NOT_SUPPORTED, Adapter, Embeds, ProviderError, Target
from traces.draft import TraceDraft


class Chat:
    serves = "chat"  # the Deployment.serves that may answer

    def parse(self, raw: bytes, called: Called) -> ChatRequest:
        """Raises InvalidRequest."""
        return parse_chat(raw, called)

    def input_tokens(self, body: Json) -> int:
        return estimate_input(body)

    def line(self, body: Json) -> str:
        """What a list of traces shows of the request."""
        return prompt_line(body)

    def payload(self, request: ChatRequest, plan: ExecutionPlan, model: str, max_tokens: int) -> dict[str, Any]:
        """The client's body with the deployment's model and what the plan adds; everything else as it came."""
        limit = "max_completion_tokens" if request.body.get("max_completion_tokens") is not None else "max_tokens"
        return {**request.body, **plan.params, "model": model, limit: max_tokens}

    def documents(
        self, adapter: Adapter, target: Target, payload: Mapping[str, Any], *, stream: bool
    ) -> AsyncIterator[list[bytes]]:
        """What comes from the provider, as ``Adapter.chat`` gives it. Raises ProviderError."""
        return adapter.chat(target, payload, stream=stream)

    def read(self, raw: bytes) -> dict[str, Any]:
        """A whole answer. Raises ProviderError if it is none."""
        return answers.read_completion(raw)

    def is_complete(self, answer: Json) -> bool:
        return answers.is_complete(answer)

    def usage(self, answer: Json, asked: Asked) -> Usage:
        return answers.usage_of(answer, asked)

    def recorded(self, answer: dict[str, Any]) -> Any:
        """What the trace keeps of an answer."""
        return answer

    def recorded_hit(self, raw: bytes) -> Any:
        return orjson.Fragment(raw)  # written as it is, without being parsed

    def rendered(self, raw: bytes, draft: TraceDraft, latency_ms: float) -> bytes:
        """The body of the reply."""
        return raw


class Infer(Chat):
    """A chat of one message, in fewer words."""

    def parse(self, raw: bytes, called: Called) -> ChatRequest:
        return parse_infer(raw, called)

    def rendered(self, raw: bytes, draft: TraceDraft, latency_ms: float) -> bytes:
        """``cost`` is in dollars: what this request cost, so 0 for an answer from the cache."""
        content = answers.read_completion(raw)["choices"][0]["message"].get("content")
        tokens_in, tokens_out = draft.tokens_in or 0, draft.tokens_out or 0
        return orjson.dumps(
            {
                "text": content if isinstance(content, str) else "",
                "provider": draft.provider or "cache",
                "model": draft.model,
                "cost": draft.cost_microusd / 1_000_000,
                "latency_ms": round(latency_ms, 3),
                "trace_id": draft.id,
                "usage": {
                    "prompt_tokens": tokens_in,
                    "completion_tokens": tokens_out,
                    "total_tokens": tokens_in + tokens_out,
                },
            }
        )


class Embeddings(Chat):
    serves = "embeddings"

    def parse(self, raw: bytes, called: Called) -> ChatRequest:
        return embeddings.parse_embeddings(raw, called)

    def input_tokens(self, body: Json) -> int:
        return embeddings.estimate_inputs(body)

    def line(self, body: Json) -> str:
        return embeddings.input_line(body)

    def payload(self, request: ChatRequest, plan: ExecutionPlan, model: str, max_tokens: int) -> dict[str, Any]:
        return {**request.body, "model": model}

    async def documents(
        self, adapter: Adapter, target: Target, payload: Mapping[str, Any], *, stream: bool
    ) -> AsyncIterator[list[bytes]]:
        """One document in the encoding that the client wants, whatever the provider's own is."""
        if not isinstance(adapter, Embeds):
            raise ProviderError("This kind of provider has no embeddings.", code=NOT_SUPPORTED)
        raw = await adapter.embed(target, payload)
        inputs = len(embeddings.inputs_of(payload))
        try:
            answer = embeddings.encoded(read_json(raw), inputs=inputs, wanted=payload.get("encoding_format"))
        except ValueError as error:
            raise ProviderError(_sentence(error), code="garbage") from None
        tokens = embeddings.estimate_inputs(payload)
        if self.usage(answer, Asked(tokens)).source == "estimated":
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens, "estimated": True}
        yield [orjson.dumps(answer)]

    def read(self, raw: bytes) -> dict[str, Any]:
        return dict(orjson.loads(raw))  # of ``documents`` or the cache

    def is_complete(self, answer: Json) -> bool:
        return True

    def usage(self, answer: Json, asked: Asked) -> Usage:
        said = answer.get("usage")
        usage = said if isinstance(said, dict) else {}
        tokens = usage.get("prompt_tokens")
        if usage.get("estimated") or not answers.is_count(tokens) or not tokens:
            return Usage(asked.tokens_in, 0, "estimated")
        tokens_in, _, correction = believed(Claim(int(tokens), 0), asked, NO_TEXT)
        return Usage(tokens_in, 0, "corrected" if correction else "provider", correction)

    def recorded(self, answer: dict[str, Any]) -> Any:
        return embeddings.summary(answer)

    def recorded_hit(self, raw: bytes) -> Any:
        return embeddings.summary(orjson.loads(raw))


def _sentence(error: ValueError) -> str:
    return str(error) if isinstance(error, embeddings.NotEmbeddings) else "The answer is not JSON, or nested too deep."


KINDS: Mapping[str, Chat] = {"chat": Chat(), "infer": Infer(), "embeddings": Embeddings()}
