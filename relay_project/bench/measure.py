"""The figures, each the median of some rounds. CPU-ms a request is that of the web process alone, and the one to trust:
times on the wall depend on what else the machine does."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from statistics import median

from django.test import Client
from django_tenants.utils import tenant_context

from relay_project.bench.cores import cpu_s, rss_mb
from relay_project.bench.load import Outcome, Server, body, drive
from relay_project.bench.rows import LIMITED, PLAIN, SEMANTIC, Callers
from tenants.models import Tenant, User
from traces.models import Trace
from traces.samples import write_samples

ROUNDS = 3
CLIENTS = 16
WARM_UP = 500
ALONE = 500  # requests of a single client, and streams at a model's pace
MEANT = 250  # of those that are compared by meaning
SAMPLES = 100_000
STORED_WITHIN_S = 30.0
MISS = {"x-relay-cache": "miss"}
HIT = {"x-relay-cache": "exact"}

Figures = dict[str, float]
Say = Callable[[str], None]


@dataclass(slots=True)
class Bench:
    tenant: Tenant
    callers: Callers
    direct: Server
    pid: int
    requests: int
    say: Say
    sent: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=count)

    def figures(self) -> Figures:
        """Ends with the embedder in the process's memory, so it is asked once."""
        self._run(self._misses(WARM_UP), MISS)
        self._run(self._misses(WARM_UP, stream=True), MISS)
        self._run([body(PLAIN)])
        self._ledger(WARM_UP)
        rounds = [self._round(number) for number in range(1, ROUNDS + 1)]
        figures = {name: round(median(one[name] for one in rounds), 3) for name in rounds[0]}
        figures["rss_mb"] = round(rss_mb(self.pid), 1)
        return figures | self._by_meaning(figures)

    def _round(self, number: int) -> Figures:
        figures = {
            "miss_cpu_ms": self._run(self._misses(self.requests), MISS)[0],
            "exact_hit_cpu_ms": self._run([body(PLAIN)] * self.requests, HIT)[0],
            "stream_cpu_ms": self._run(self._misses(self.requests, stream=True), MISS)[0],
        }
        figures["ledger_added_cpu_ms"] = self._ledger(self.requests)
        figures["paced_stream_cpu_ms"] = self._run(self._misses(ALONE, paced=True), MISS)[0]
        traces_stored(self.tenant, self.sent)  # what the writer still has to do must not delay a single client
        alone, outcome = self._run(self._misses(ALONE), MISS, clients=1)
        direct = asyncio.run(drive(self.direct, self._misses(ALONE), clients=1))
        self._count(direct)
        figures["alone_cpu_ms"], figures["alone_p50_ms"] = alone, outcome.p50_ms
        figures["added_p50_ms"] = outcome.p50_ms - direct.p50_ms
        self.say(f"round {number}: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items()))
        return figures

    def _ledger(self, requests: int) -> float:
        """What a caller with three quotas at a deployment with two limits costs more than one without any. The latter's
        traces are another tenant's, and not looked for."""
        limited, _ = self._run(self._misses(requests, model=LIMITED), MISS, caller=self.callers.limited)
        free, _ = self._run(self._misses(requests), MISS, caller=self.callers.free)
        self.sent -= requests
        return limited - free

    def _by_meaning(self, plain: Figures) -> Figures:
        """What embedding the question, looking it up and storing it add, with a single client."""
        self._run(self._misses(20, model=SEMANTIC), MISS, clients=1)
        rounds = [self._run(self._misses(MEANT, model=SEMANTIC), MISS, clients=1) for _ in range(ROUNDS)]
        return {
            "semantic_added_cpu_ms": round(median(cpu for cpu, _ in rounds) - plain["alone_cpu_ms"], 3),
            "semantic_added_ms": round(median(one.p50_ms for _, one in rounds) - plain["alone_p50_ms"], 3),
            "rss_with_embedder_mb": round(rss_mb(self.pid), 1),
        }

    def _run(
        self,
        bodies: list[bytes],
        expected: dict[str, str] | None = None,
        clients: int = CLIENTS,
        caller: Server | None = None,
    ) -> tuple[float, Outcome]:
        """CPU-ms a request, and the rest."""
        before, caller = cpu_s(self.pid), caller or self.callers.usual
        outcome = asyncio.run(drive(caller, bodies, clients=clients, expected=expected))
        used = cpu_s(self.pid) - before
        self.sent += len(bodies)
        self._count(outcome)
        return used * 1000 / max(1, len(outcome.latencies_ms)), outcome

    def _count(self, outcome: Outcome) -> None:
        for what, times in outcome.errors.items():
            self.errors[what] = self.errors.get(what, 0) + times

    def _misses(self, wanted: int, *, model: str = PLAIN, stream: bool = False, paced: bool = False) -> list[bytes]:
        return [body(model, number=next(self.numbers), stream=stream, paced=paced) for _ in range(wanted)]


def traces_stored(tenant: Tenant, wanted: int) -> int:
    """How many of the requests have their trace in the tenant's schema, once the writer had its time."""
    deadline = time.monotonic() + STORED_WITHIN_S
    while True:
        with tenant_context(tenant):
            stored = Trace.objects.count()
        if stored >= wanted or time.monotonic() > deadline:
            return stored
        time.sleep(0.2)


def trace_list_ms(tenant: Tenant) -> float:
    """The viewer's first page over 100,000 traces, made by Django without a network."""
    write_samples(tenant, count=SAMPLES)
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("bench", email=None, password=None))
    times = []
    for _ in range(6):  # the first compiles the templates
        started = time.perf_counter()
        page = client.get("/admin/traces/", {"tenant": tenant.slug})
        times.append((time.perf_counter() - started) * 1000)
        if page.status_code != 200:
            raise RuntimeError(f"The trace list answered {page.status_code}.")
    return round(median(times[1:]), 1)
