"""The whole of it: the real `make dev` with its real model, the demo's walk, the console in a browser, and the stop."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relay_project.embedded import state
from relay_project.embedded.ports import free_port
from relay_project.embedded.throwaway import temporary_root

PASSWORD = "the-walks-own-password"
PORTS = ("PORT", "RELAY_PG_PORT", "RELAY_REDIS_PORT", "RELAY_LLM_PORT")


@dataclass(frozen=True, slots=True)
class Walk:
    url: str
    environment: dict[str, str]
    process: "subprocess.Popen[str]"
    steps: list[dict[str, Any]]

    def step(self, number: int) -> list[dict[str, Any]]:
        return [facts for facts in self.steps if facts["step"] == number]


@pytest.fixture(scope="module")
def walk() -> Iterator[Walk]:
    hidden = {"DATABASE_URL", "REDIS_URL", "RELAY_SECRET_KEY", "RELAY_KEY_PEPPER", "RELAY_DEBUG"}
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    with tempfile.TemporaryDirectory(prefix="relay walk ", dir=temporary_root()) as name:
        Path(name).chmod(0o711)  # PostgreSQL may run as another user
        ports = {variable: str(free_port()) for variable in PORTS}
        ours = {"RELAY_STATE_DIR": f"{name}/state", "RELAY_ADMIN_PASSWORD": PASSWORD}
        environment = kept | ports | ours
        process = subprocess.Popen(
            [sys.executable, "-m", "relay_project.embedded.dev"],
            cwd=state.CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if "Try it:" in line:
                    break
            assert process.poll() is None, "".join(said)
            demo = subprocess.run(
                [sys.executable, "manage.py", "demo", "--json"],
                cwd=state.CHECKOUT,
                env=environment,
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert demo.returncode == 0, demo.stderr
            steps = [json.loads(line) for line in demo.stdout.splitlines()]
            yield Walk(f"http://127.0.0.1:{ports['PORT']}", environment, process, steps)
        finally:
            process.kill()
            process.communicate()


def test_a_question_is_planned_and_answered_by_the_embedded_model(walk: Walk) -> None:
    [chat] = walk.step(1)
    assert chat["outcome"] in ("ok 200", "fell_back 200")  # Ollama, if any, is asked first
    assert (chat["bucket"], chat["lane"]) == ("short", "short")
    assert any("short takes up to" in reason for reason in chat["reasons"])


def test_the_same_prompt_twice_is_an_exact_hit(walk: Walk) -> None:
    first, second = walk.step(2)
    assert first["cache"] == "miss"
    assert (second["outcome"], second["cache"]) == ("cached 200", "exact")
    assert second["backend_latency_ms"] is None
    assert second["source trace"] in first["trace"]
    assert second["answer"] == first["answer"]


def test_the_same_question_in_other_words_hits_and_another_number_does_not(walk: Walk) -> None:
    first, same, other = walk.step(3)
    assert (same["outcome"], same["cache"]) == ("cached 200", "semantic")
    assert same["similarity"] > 0.92
    assert same["source trace"] in first["trace"]
    assert other["cache"] == "miss"
    assert "2" in other["refused because"] and "20" in other["refused because"]


def test_twenty_five_at_once_are_all_accounted_for(walk: Walk) -> None:
    [burst] = walk.step(4)
    assert burst["traces"] == burst["requests"] == 25
    assert sum(burst["status"].values()) == 25
    assert set(burst["status"]) <= {"200", "429"}
    assert burst["lane"] == {"short": 25}
    assert burst["queue_wait_ms"]["longest"] > 0


def test_a_long_prompt_takes_the_long_lane(walk: Walk) -> None:
    [long] = walk.step(5)
    assert long["outcome"] in ("ok 200", "fell_back 200")
    assert (long["bucket"], long["lane"]) == ("long", "long")


def test_the_trace_reads_well_in_a_browser(walk: Walk, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (1280, 400):
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.goto(f"{walk.url}/admin/login/?next=/admin/traces/")
            page.fill("input[name=username]", "admin")
            page.fill("input[name=password]", PASSWORD)
            page.click("button[type=submit]")
            page.wait_for_url("**/admin/traces/**")
            page.goto(walk.step(3)[1]["trace"])
            page.get_by_text("What happened").wait_for()
            assert page.get_by_text("Semantic hit", exact=True).is_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.close()
        browser.close()


def test_ctrl_c_stops_all_within_ten_seconds(walk: Walk) -> None:
    """Last: nothing of this module runs after it."""
    began = time.monotonic()
    walk.process.send_signal(signal.SIGINT)
    walk.process.communicate(timeout=30)
    assert time.monotonic() - began < 10
    assert walk.process.returncode == 0
