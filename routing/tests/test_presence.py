"""What processes say of themselves, and what is made of it."""

import asyncio
from typing import Any

import httpx
import pytest
import redis
import redis.asyncio
from django.conf import settings

from conftest import eventually
from routing.core.breaker import Failure
from routing.evidence import EvidenceBoard
from routing.presence import GONE_S, Presence, web_processes
from routing.tests.stage import Stage
from routing.tests.upstream import says
from tenants.models import Platform

NOW = 1_900_000_000.0
TOKEN = "t" * 40


class NoLanes:
    def snapshot(self) -> dict[str, Any]:
        return {"worker_alive": False, "pools": {}}


def test_a_breaker_is_told_with_its_beginning_and_who_falls_silent_is_forgotten() -> None:
    board = EvidenceBoard()
    presence = Presence("presence-test", board, NoLanes(), NOW)  # type: ignore[arg-type]

    async def say(at: float) -> None:
        async with redis.asyncio.from_url(settings.REDIS_URL) as client:
            await presence.say(client, at)

    board.failed("d", Failure("http_503", unreachable=True), NOW)
    for at in (NOW, NOW + 2):
        asyncio.run(say(at))
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        [mine] = [one for one in web_processes(client, NOW + 3) if one["process"] == "presence-test"]
        assert mine["deployments"]["d"]["breaker"] == "open" and mine["breaker_since"] == {"d": NOW}
        later = web_processes(client, NOW + GONE_S + 3)
        assert "presence-test" not in [one["process"] for one in later]
        client.delete("relay:web:presence-test")
        client.zrem("relay:web", "presence-test")


@pytest.mark.usefixtures("workers")
def test_the_admin_api_sees_all_processes_and_its_policy_is_live_in_all(stage: Stage, settings: Any) -> None:
    settings.ADMIN_TOKEN = TOKEN
    admin = httpx.Client(base_url=stage.shells.drf, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)
    model = stage.route(says("dear"), says("cheap"))
    dear = stage.deployment(model)
    dear.price_in_microusd = dear.price_out_microusd = 9_000_000
    dear.save()

    def said(base: str) -> str:
        return str(stage.ask(base, model).json()["choices"][0]["message"]["content"])

    assert said(stage.shells.express) == "dear"
    try:
        admin.put("/v1/admin/policy", json={"default_policy": "cheapest"}).raise_for_status()
        stage.in_both(lambda base: said(base) == "cheap")
        status = admin.get("/v1/admin/status").raise_for_status().json()
        assert status["default_policy"] == "cheapest" and status["trace_writer"]["waiting"] >= 0
        eventually(lambda: len(admin.get("/v1/admin/status").json()["processes"]) >= 2)
        eventually(lambda: f"{model}-1" in [one["deployment"] for one in admin.get("/v1/admin/status").json()["lanes"]])
        assert admin.get("/v1/models").status_code == 401
    finally:
        Platform.objects.all().delete()
        admin.close()
    stage.in_both(lambda base: said(base) == "dear")


def test_a_quota_of_the_admin_api_is_live_and_can_be_reset(stage: Stage, settings: Any) -> None:
    settings.ADMIN_TOKEN = TOKEN
    model, (row, key) = stage.route(says("hello")), stage.new_key()
    with httpx.Client(base_url=stage.shells.drf, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as admin:
        given = {"tenant": row.tenant.slug, "key": row.key_id, "metric": "requests", "window": "month", "limit": 1}
        path = f"/v1/admin/quotas/{admin.post('/v1/admin/quotas', json=given).raise_for_status().json()['id']}"
        stage.in_both(lambda base: stage.ask(base, model, key=key).status_code == 429)
        assert admin.get(path).json()["used"] == 1
        assert admin.post(f"{path}/reset", json={"note": "a test"}).json() == {"taken_off": 1}
        assert stage.ask(stage.shells.express, model, key=key).status_code == 200
        assert admin.delete(path).status_code == 204
