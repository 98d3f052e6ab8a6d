"""`manage.py demo`: the walk through a running Relay, with plain HTTP, and what each trace says of it."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django_tenants.utils import tenant_context

from tenants.models import Tenant
from traces.models import Trace

TRACE_DEADLINE_S = 15.0
IN_TWO = "Explain what an API gateway does in 2 lines."
IN_TWO_WORDS = "In two lines, what does an API gateway do?"
IN_TWENTY = "Explain what an API gateway does in 20 lines."


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    @property
    def trace_id(self) -> str:
        return self.headers.get("x-relay-trace-id", "")


class Command(BaseCommand):
    help = "Walk through a running Relay: routing, both caches, lanes. Prints what the traces show."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}", help="Where Relay runs.")
        parser.add_argument("--json", action="store_true", help="One JSON object a step on stdout.")

    def handle(self, *args: Any, url: str, **options: Any) -> None:
        self.url, self.json = url.rstrip("/"), options["json"]
        tenant = Tenant.objects.filter(slug="default").first()
        if tenant is None:
            raise CommandError("There is no tenant “default”. Run `make dev` first.")
        self.tenant = tenant
        self.salt = f" (walk {int(time.time())})"
        steps = (self.chat, self.exact, self.semantic, self.burst, self.long)
        for number, step in enumerate(steps, 1):
            self.say(f"\n{number}. {(step.__doc__ or '').strip()}")
            for facts in step():
                self.show(number, facts)
        self.say(f"\nEvery request above is a trace: {self.url}/admin/traces/?tenant=default")

    # --- the steps -----------------------------------------------------------------------------------------------

    def chat(self) -> Iterator[dict[str, Any]]:
        """A question is planned: its bucket, and why it went where it went"""
        yield self.traced(self.ask(f"Say hello in one short sentence{self.salt}"))

    def exact(self) -> Iterator[dict[str, Any]]:
        """The same prompt twice: the second answer comes from the exact cache"""
        prompt = f"What is a reverse proxy? Answer briefly{self.salt}"
        yield self.traced(self.ask(prompt))
        yield self.traced(self.ask(prompt))

    def semantic(self) -> Iterator[dict[str, Any]]:
        """The same question in other words hits by meaning; another number does not"""
        first = self.traced(self.ask(IN_TWO))
        yield first
        time.sleep(0.5)  # the answer is stored behind the client's back
        yield self.traced(self.ask(IN_TWO_WORDS))
        yield self.traced(self.ask(IN_TWENTY))

    def burst(self) -> Iterator[dict[str, Any]]:
        """25 at once: the short lane queues; all are accounted for"""
        prompts = [f"Give me one fact about the number {number}{self.salt}" for number in range(25)]
        with ThreadPoolExecutor(len(prompts)) as pool:
            answers = list(pool.map(self.ask, prompts))
        traces = [trace for answer in answers if (trace := self.trace(answer)) is not None]
        waits = sorted(trace.queue_wait_ms or 0 for trace in traces)
        decisions = Counter((trace.scheduler_json or {}).get("decision", "none") for trace in traces)
        yield {
            "requests": len(answers),
            "status": dict(sorted(Counter(answer.status for answer in answers).items())),
            "traces": len(traces),
            "lane": dict(Counter(trace.lane for trace in traces)),
            "admission": dict(decisions),
            "queue_wait_ms": {"median": round(waits[len(waits) // 2], 1), "longest": round(waits[-1], 1)}
            if waits
            else None,
        }

    def long(self) -> Iterator[dict[str, Any]]:
        """A long prompt waits in its own lane"""
        text = " ".join(f"Item {number} of the report says that all went well." for number in range(110))
        yield self.traced(self.ask(f"Summarise this report: {text}{self.salt}", max_tokens=64))

    # --- asking and showing --------------------------------------------------------------------------------------

    def ask(self, prompt: str, **params: Any) -> Answer:
        body = {"model": "local-ollama", "messages": [{"role": "user", "content": prompt}], **params}
        request = Request(  # the operator's own URL
            f"{self.url}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "X-Tenant-Id": "default"},
        )
        try:
            with urlopen(request, timeout=120) as response:
                return _answer(response.status, response.read(), response.headers)
        except HTTPError as error:
            return _answer(error.code, error.read(), error.headers)
        except (URLError, OSError) as error:
            raise CommandError(f"{self.url} does not answer ({error}). Start Relay with `make dev`.") from error

    def trace(self, answer: Answer) -> Trace | None:
        """The stored trace; the writer needs a moment."""
        deadline = time.monotonic() + TRACE_DEADLINE_S
        while time.monotonic() < deadline:
            with tenant_context(self.tenant):
                found = Trace.objects.filter(pk=answer.trace_id).first()
            if found is not None:
                return found
            time.sleep(0.1)
        return None

    def traced(self, answer: Answer) -> dict[str, Any]:
        trace = self.trace(answer)
        if trace is None:
            raise CommandError(
                f"The trace {answer.trace_id or '(none)'} did not arrive: {answer.status} {answer.text[:200]}"
            )
        cache = trace.cache_json or {}
        scheduler = trace.scheduler_json or {}
        facts = {
            "prompt": trace.prompt_line[:70],
            "answer": " ".join(answer.text.split())[:100],
            "outcome": f"{trace.outcome} {trace.status}",
            "bucket": trace.bucket,
            "reasons": [
                f"{one['subject']}: {one['why']}"
                for one in trace.decision_trace_json
                if one["step"] in ("bucket", "rule")
            ],
            "served by": trace.deployment,
            "cache": trace.cache,
            "similarity": round(cache["similarity"], 3) if cache.get("similarity") else None,
            "refused because": cache.get("refused_because"),
            "source trace": cache.get("source_trace") if trace.outcome == "cached" else None,
            "lane": trace.lane,
            "queue_wait_ms": trace.queue_wait_ms,
            "admission": scheduler.get("reason"),
            "latency_ms": trace.latency_ms,
            "backend_latency_ms": trace.backend_latency_ms,
            "trace": f"{self.url}/admin/traces/{trace.pk}/?tenant=default",
        }
        return {name: value for name, value in facts.items() if value is not None or name == "backend_latency_ms"}

    def say(self, text: str) -> None:
        (self.stderr if self.json else self.stdout).write(text)

    def show(self, number: int, facts: dict[str, Any]) -> None:
        if self.json:
            self.stdout.write(json.dumps({"step": number, **facts}))
            return
        for name, value in facts.items():
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                self.stdout.write(f"   {name if index == 0 else '':<18} {'–' if item is None else item}")
        self.stdout.write("")


def _answer(status: int, raw: bytes, headers: Any) -> Answer:
    body = json.loads(raw)
    text = body["choices"][0]["message"]["content"] if "choices" in body else body["error"]["message"]
    return Answer(status, text or "", {name.lower(): value for name, value in headers.items()})
