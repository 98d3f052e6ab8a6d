"""The routing demonstration: what it says is what the pipeline did, and nobody's data is touched."""

import json
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from relay_project.routing_demo.stage import spare_database

NEVER_EXPIRES = -1  # as Redis says it


@pytest.fixture(scope="module")
def played(committed: None) -> Iterator[dict[str, Any]]:
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as relays:
        before = set(relays.keys("relay:{ledger}:*"))
        lasting = {key for key in before if relays.ttl(key) == NEVER_EXPIRES}
        out = StringIO()
        call_command("demo_routing", json=True, stdout=out)
        assert lasting <= set(relays.keys("relay:{ledger}:*")) <= before
    yield {one["scenario"]: one for one in json.loads(out.getvalue())}


def test_all_scenarios_are_played_without_a_failure_or_a_cent(played: dict[str, Any]) -> None:
    assert list(played) == ["mixed", "quota", "speed", "development", "cost"]
    assert all(one["failed"] == 0 and one["cost_usd"] == 0 for one in played.values())
    assert all(sum(one["by_provider"].values()) == one["requests"] for one in played.values())


def test_each_kind_of_work_finds_its_provider(played: dict[str, Any]) -> None:
    assert played["mixed"]["by_provider"] == {"openrouter": 10, "groq": 10, "cloudflare": 10}
    assert played["speed"]["by_provider"] == {"groq": 20}
    assert played["cost"]["requests"] == 100


def test_a_spent_quota_moves_on_to_the_next_in_the_failover_order(played: dict[str, Any]) -> None:
    assert played["quota"]["by_provider"] == {"openrouter": 200, "groq": 50}


def test_development_stays_local(played: dict[str, Any]) -> None:
    assert set(played["development"]["by_provider"]) <= {"ollama", "embedded"}


def test_one_scenario_for_a_reader(committed: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("demo_routing", "cost")
    with redis.Redis.from_url(spare_database(os.environ["REDIS_URL"])) as spare:
        assert spare.dbsize() == 0
    said = capsys.readouterr().out
    assert "✓ 100 requests, 80,000 tokens" in said
    assert "$0.00 for 80,000 tokens" in said and "gpt-4o" in said


def test_a_database_that_is_in_use_is_left_alone(committed: None) -> None:
    with redis.Redis.from_url(spare_database(os.environ["REDIS_URL"])) as spare:
        spare.set("somebody's", 1)
        try:
            with pytest.raises(CommandError, match="is not empty"):
                call_command("demo_routing", "speed")
            assert spare.get("somebody's") == b"1"
        finally:
            spare.delete("somebody's")


def test_traces_that_wait_on_the_disk_are_left_to_a_web_process(committed: None, tmp_path: Path, settings: Any) -> None:
    settings.RELAY_SPOOL_DIR = str(tmp_path)
    waiting = tmp_path / "1-1.spool"
    waiting.write_bytes(b"{}\n")
    call_command("demo_routing", "speed", json=True)
    assert waiting.read_bytes() == b"{}\n"
