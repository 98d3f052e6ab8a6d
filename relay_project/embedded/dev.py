"""`make dev`: all of Relay on this machine, with its own servers, under one supervisor."""

import os
import shlex
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path

from relay_project.embedded import llama, ports, postgres, state, valkey
from relay_project.embedded.console import BOLD, Console
from relay_project.embedded.processes import StartError, die_with_parent
from relay_project.embedded.stack import METRICS, Stack, relay_stack, wanted_ports
from relay_project.embedded.supervisor import Stopped, Supervisor

AFTER_A_CRASH = 10.0  # seconds that the servers of a killed supervisor may take to end
STOP_PHASES = (
    (("web",), 4.0),
    (("celery", "evals", "traces", "lanes", "llm"), 3.0),
    (("valkey", "postgres"), 2.5),
)  # names and seconds; all together under 10 s
CURL_BODY = '{"model": "local-ollama", "messages": [{"role": "user", "content": "What is an API gateway?"}]}'

MakeStack = Callable[[Path, Mapping[str, int], Mapping[str, str], Mapping[str, str]], Stack]


def main(make_stack: MakeStack = relay_stack) -> int:
    """The exit code is 2 for what the caller must change, 1 for a start that failed."""
    if "MAKELEVEL" in os.environ:
        die_with_parent(signal.SIGTERM)  # a killed make would leave us behind
    console = Console()
    supervisor = Supervisor(console)
    supervisor.listen_for_signals()
    try:
        chosen = ports.choose(os.environ, wanted_ports(os.environ))
        directory = state.open_state_dir()
        if not _claim(directory, chosen["PORT"], console):
            return 2
        ended_badly = (directory / "env.json").exists()
        ports.require_free(chosen, AFTER_A_CRASH if ended_badly else 0.0)
        stack = make_stack(directory, chosen, state.load_secrets(directory), os.environ)
    except (ports.PortError, state.StateError) as error:
        console.fail(str(error))
        return 2
    code = _serve(supervisor, stack)
    started = time.monotonic()
    supervisor.stop(STOP_PHASES)
    supervisor.close()
    state.withdraw(directory)
    console.line(f"Relay stopped ({time.monotonic() - started:.1f} s). Its data is kept in {directory}")
    return code


def _claim(directory: Path, port: int, console: Console) -> bool:
    us = state.Running(os.getpid(), f"http://{ports.HOST}:{port}/")
    for _ in range(5):  # a manage.py that looks for servers holds the lock for an instant
        if state.lock(directory, us) is not None:
            return True
        time.sleep(0.1)
    them = state.running(directory)
    who = f" as process {them.pid} at {them.url}" if them and them.pid else ""
    console.fail(f"Relay already runs from this checkout{who}. Stop that one with Ctrl-C first.")
    return False


def _serve(supervisor: Supervisor, stack: Stack) -> int:
    try:
        if "RELAY_LLM_PORT" in stack.ports:  # loads while the others start
            supervisor.start(llama.program(stack.ports["RELAY_LLM_PORT"]))
        _start_postgres(supervisor, stack)
        _start_valkey(supervisor, stack)
        state.publish(stack.directory, stack.environment)
        _start_relay(supervisor, stack)
        _banner(supervisor.console, stack)
        supervisor.run_until_stopped()
    except Stopped:
        supervisor.console.line("Stopping …")
    except (StartError, OSError) as error:
        supervisor.console.fail(str(error))
        return 1
    return 0


def _start_postgres(supervisor: Supervisor, stack: Stack) -> None:
    port = stack.ports.get("RELAY_PG_PORT")
    if port is None:
        url = stack.environment["DATABASE_URL"]
        with supervisor.console.step("Waiting for PostgreSQL", "PostgreSQL of DATABASE_URL answers") as step:
            supervisor.wait_until(lambda: postgres.ready(url), "PostgreSQL at DATABASE_URL", 15.0, step.tick)
        return
    with supervisor.console.step("Starting PostgreSQL", f"PostgreSQL started on port {port}") as step:
        password = stack.secrets["postgres_password"]
        install = postgres.installed()
        postgres.initialise(stack.directory, password, install)
        supervisor.start(postgres.program(stack.directory, port, install))
        server = postgres.url(port, password, "postgres")
        supervisor.wait_until(
            lambda: postgres.started(stack.directory) and postgres.ready(server), "PostgreSQL", 60.0, step.tick
        )
        postgres.create_database(port, password)


def _start_valkey(supervisor: Supervisor, stack: Stack) -> None:
    port = stack.ports.get("RELAY_REDIS_PORT")
    url = stack.environment["REDIS_URL"]
    if port is None:
        with supervisor.console.step("Waiting for Redis", "Redis of REDIS_URL answers") as step:
            supervisor.wait_until(lambda: valkey.ready(url), "Redis at REDIS_URL", 15.0, step.tick)
        return
    with supervisor.console.step("Starting Valkey", f"Valkey started on port {port}") as step:
        supervisor.start(valkey.program(stack.directory, port, stack.secrets["redis_password"]))
        supervisor.wait_until(lambda: valkey.ready(url), "Valkey", 60.0, step.tick)


def _start_relay(supervisor: Supervisor, stack: Stack) -> None:
    console = supervisor.console
    for task in stack.tasks:
        with console.step(task.doing, task.done) as step:
            supervisor.run(task.program, step.tick)
    if "RELAY_LLM_PORT" in stack.ports:
        url = llama.url(stack.ports["RELAY_LLM_PORT"])
        with console.step("Loading the language model", f"Language model {llama.MODEL} loaded") as step:
            supervisor.wait_until(lambda: llama.ready(url), "The language model", 120.0, step.tick)
    shutil.rmtree(stack.directory / METRICS, ignore_errors=True)  # counters begin anew, as after any start
    with console.step("Starting Relay", "Relay answers") as step:
        for program in stack.programs:
            supervisor.start(program)
        supervisor.wait_until(lambda: _answers(f"{stack.url}/health"), "Relay", 90.0, step.tick)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _banner(console: Console, stack: Stack) -> None:
    own = os.environ.get("RELAY_ADMIN_PASSWORD")
    password = "the password in RELAY_ADMIN_PASSWORD" if own else stack.environment["RELAY_ADMIN_PASSWORD"]
    headers = "-H 'Content-Type: application/json' -H 'X-Tenant-Id: default'"
    console.line()
    console.line(console.paint(f"Relay is ready: {stack.url}/", BOLD))
    console.line(f"  Admin    {stack.url}/admin/  (user admin, password: {password})")
    console.line(f"  OpenAPI  {stack.url}/api/docs")
    console.line("  Stop     Ctrl-C")
    console.line("Try it:")
    console.line(f"  curl {stack.url}/v1/chat/completions {headers} -d {shlex.quote(CURL_BODY)}")
    console.line()


if __name__ == "__main__":
    sys.exit(main())
