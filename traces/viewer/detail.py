"""One trace: its page, the peek below a row of the list, and the downloads of its raw bodies."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib.admin import site
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from tenants.models import Tenant
from traces.core.query import TraceQuery, read_query
from traces.core.words import Facts, what_happened
from traces.models import Trace
from traces.viewer import selectors
from traces.viewer.access import Seer, seer_of, tenant_of
from traces.viewer.conversation import conversation
from traces.viewer.curl import as_curl
from traces.viewer.lenient import mapping, mappings, number, text
from traces.viewer.rawjson import highlighted, pretty
from traces.viewer.timeline import waterfall

CONTENT = ("request_json", "response_json", "prompt_line")
ADDRESSES = {"infer": "/v1/infer", "embeddings": "/v1/embeddings"}  # all else is chat
PARTS = {"request": "request_json", "response": "response_json"}


def find_trace(pk: UUID, seer: Seer) -> Trace:
    """Content that the person may not read is not even loaded."""
    traces = Trace.objects.all() if seer.prompts else Trace.objects.defer(*CONTENT)
    return get_object_or_404(traces, pk=pk)


@require_GET
@never_cache
def trace_detail(request: HttpRequest, pk: UUID) -> HttpResponse:
    seer = seer_of(request)
    trace = find_trace(pk, seer)
    query = read_query(request.GET.dict(), tenant=seer.tenant.slug, now=timezone.now())
    newer, older = selectors.neighbours(selectors.matching(query, prompts=seer.prompts), trace)
    context = {
        **site.each_context(request),
        **shared(trace, seer),
        "title": f"Trace {short(trace.pk)}",
        "subtitle": seer.tenant.name,
        "back_url": reverse("traces:list") + query.url(),
        "newer_url": link(newer, query),
        "older_url": link(older, query),
        "query": query,
        "candidates": candidates(trace),
        "plan": mapping(trace.plan_json),
        "plan_facts": plan_facts(mapping(trace.plan_json)),
        "reasons": mappings(trace.decision_trace_json),
        "cached": cache_facts(trace, seer, query),
        "scheduler": mapping(trace.scheduler_json),
    }
    return TemplateResponse(request, "traces/detail.html", context | (content(request, trace) if seer.prompts else {}))


def shared(trace: Trace, seer: Seer) -> dict[str, Any]:
    """What the page and the peek both show."""
    failed = [int(number(a.get("number")) or 0) for a in mappings(trace.attempts_json) if a.get("outcome") == "failed"]
    return {
        "trace": trace,
        "prompts": seer.prompts,
        "tenant": seer.tenant,
        "sentences": what_happened(facts_of(trace, seer)),
        "spans": waterfall(trace.spans_json, trace.latency_ms, failed),
        "ticks": [trace.latency_ms * share / 4 for share in range(5)],
        "failed_attempts": len(failed),
        "now": timezone.now(),
    }


def facts_of(trace: Trace, seer: Seer) -> Facts:
    """An error's message may quote the request, so it counts as content."""
    error = mapping(mapping(trace.response_json).get("error")) if seer.prompts else {}
    return Facts(
        outcome=trace.outcome,
        status=trace.status,
        route=trace.route,
        latency_ms=trace.latency_ms,
        error_code=trace.error_code,
        error_message=text(error.get("message"))[:300],
        model=trace.model,
        policy=trace.policy,
        policy_version=trace.policy_version,
        bucket=trace.bucket,
        cache=trace.cache,
        stream=trace.stream,
        ttft_ms=trace.ttft_ms,
        tokens_out=trace.tokens_out,
        saved_microusd=trace.saved_microusd,
        plan={**mapping(trace.plan_json), "candidates": mappings(mapping(trace.plan_json).get("candidates"))},
        cached=mapping(trace.cache_json),
        scheduler=mapping(trace.scheduler_json),
        attempts=mappings(trace.attempts_json),
    )


def candidates(trace: Trace) -> list[dict[str, Any]]:
    """Each candidate of the plan with what came of it."""
    attempts = {text(attempt.get("deployment")): attempt for attempt in mappings(trace.attempts_json)}
    rows = []
    for candidate in mappings(mapping(trace.plan_json).get("candidates")):
        attempt = attempts.get(text(candidate.get("deployment")), {})
        outcome = text(attempt.get("outcome")) or (
            "ruled out" if candidate.get("verdict") == "ruled out" else "not needed"
        )
        rows.append(
            {**candidate, "outcome": outcome, "attempt": attempt, "cost": number(candidate.get("est_cost_microusd"))}
        )
    return rows


def plan_facts(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    cache, params = mapping(plan.get("cache")), mapping(plan.get("params"))
    found = {
        "Bucket": plan.get("bucket"),
        "Rule": plan.get("rule") or ("none matched" if plan else None),
        "Tier": plan.get("tier"),
        "Lane": plan.get("lane"),
        "Decoding profile": plan.get("profile"),
        "max_tokens": plan.get("max_tokens"),
        "Parameters": ", ".join(f"{key} {value}" for key, value in params.items()),
        "Exact cache": switch(cache.get("exact")),
        "Semantic cache": switch(cache.get("semantic")),
        "Cache kept for": f"{cache['ttl_s']} s" if cache.get("ttl_s") else None,
        "Signature": text(plan.get("signature"))[:16],
    }
    return [(label, text(value)) for label, value in found.items() if value not in (None, "")]


def switch(value: object) -> str | None:
    return None if value is None else ("on" if value is True else "off" if value is False else text(value))


def cache_facts(trace: Trace, seer: Seer, query: TraceQuery) -> dict[str, Any]:
    """State as one of hit, near, miss, off; similarity and threshold in percent of the bar."""
    told = dict(mapping(trace.cache_json))
    if not seer.prompts:
        told.pop("question", None)
        told.pop("refused_because", None)  # names the numbers and words in which two prompts differ
    if trace.cache in ("exact", "semantic", "replay"):
        state = "hit"
    else:
        state = "near" if told.get("semantic") == "near" else "off" if trace.cache == "off" else "miss"
    similarity, threshold = number(told.get("similarity")), number(told.get("threshold"))
    source = selectors.as_uuid(text(told.get("source_trace")))
    return told | {
        "state": state,
        "may_forget": seer.edits and selectors.as_uuid(text(told.get("entry_id"))) is not None,
        "similarity": similarity,
        "threshold": threshold,
        "filled": clamp(similarity),
        "mark": clamp(threshold),
        "age_ms": age * 1000 if (age := number(told.get("age_s"))) is not None else None,
        "source_url": link(source, query) if source and Trace.objects.filter(pk=source).exists() else "",
        "source_short": short(source) if source else "",
    }


def content(request: HttpRequest, trace: Trace) -> dict[str, Any]:
    asked, answered = trace.request_json, trace.response_json
    bodies = [
        {"part": part, "stored": body is not None, "html": highlighted(pretty(body)) if body is not None else ""}
        for part, body in (("request", asked), ("response", answered))
    ]
    messages = conversation(asked, answered)
    return {
        "messages_read": messages,
        "tool_calls": sum(block.kind == "call" for message in messages for block in message.blocks),
        "bodies": bodies,
        "curl": _curl(request, trace) if asked is not None else "",
        "metadata_only": getattr(tenant_of(request), "content", "") == Tenant.Content.METADATA,
    }


def _curl(request: HttpRequest, trace: Trace) -> str:
    """By the route's name, also where the client came by its path and sent another model."""
    asked: Any = trace.request_json
    if trace.plan_json and trace.endpoint == "chat" and "model" in mapping(asked):
        asked = {**asked, "model": trace.route}
    return as_curl(request.build_absolute_uri(ADDRESSES.get(trace.endpoint, "/v1/chat/completions")), asked)


@require_GET
@never_cache
def peek(request: HttpRequest, pk: UUID) -> HttpResponse:
    seer = seer_of(request)
    trace = find_trace(pk, seer)
    query = read_query(request.GET.dict(), tenant=seer.tenant.slug, now=timezone.now())
    return TemplateResponse(request, "traces/peek.html", shared(trace, seer) | {"detail_url": link(trace.pk, query)})


@require_GET
@never_cache
def download(request: HttpRequest, pk: UUID, part: str) -> HttpResponse:
    seer = seer_of(request)
    if not seer.prompts or part not in PARTS:
        raise Http404("No such trace.")
    body = getattr(find_trace(pk, seer), PARTS[part])
    if body is None:
        raise Http404("Not stored.")
    headers = {"Content-Disposition": f'attachment; filename="{pk}.{part}.json"'}
    return HttpResponse(
        json.dumps(body, indent=2, ensure_ascii=False), content_type="application/json", headers=headers
    )


def link(pk: UUID | None, query: TraceQuery) -> str:
    return reverse("traces:detail", args=[pk]) + query.url() if pk else ""


def short(pk: UUID) -> str:
    """The random end of the id; traces of one moment share their beginning."""
    return str(pk)[-12:]


def clamp(share: float | None) -> float:
    return round(min(max(share or 0.0, 0.0), 1.0) * 100, 1)
