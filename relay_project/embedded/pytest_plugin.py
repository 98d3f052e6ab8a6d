"""Gives the tests their own PostgreSQL and Valkey, and tells when tests can't run for want of a program.

Loaded by `-p` in pyproject.toml, before pytest-django reads the settings.
"""

import atexit
import os
import shutil
from collections.abc import Generator

import pytest

from relay_project.embedded.throwaway import Throwaway, isolate

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET_ONE = "no Chromium found: browser tests are skipped (to run them: apt-get install chromium)"
NO_PROMETHEUS = "no Prometheus found: tests of the dashboards are skipped (to run them: apt-get install prometheus)"
SERVERS = Throwaway()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Generator[None]:
    isolate()
    atexit.register(SERVERS.stop)  # a run that fails before it begins is never unconfigured
    SERVERS.start()
    os.environ.update(SERVERS.environment)
    os.environ["RELAY_SEMANTIC_WAIT_MS"] = "20000"  # what is found must not depend on how busy the machine is
    return (yield)


def pytest_unconfigure() -> None:
    SERVERS.stop()


def find_chromium() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium. A test that asks for it is a browser test."""
    path = find_chromium()
    if path is None:
        pytest.skip(HOW_TO_GET_ONE)
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    for why in (HOW_TO_GET_ONE, NO_PROMETHEUS):
        if any(why in str(report.longrepr) for report in skipped):
            terminalreporter.write_line(f"WARNING: {why}", yellow=True)
    if skipped and os.environ.get("CI"):
        terminalreporter.write_line(f"{len(skipped)} skipped: in CI a skip is a failure.", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
