"""What `make dev` starts: its variables, the tasks that run first, the programs that stay."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from relay_project.embedded import llama, postgres, valkey
from relay_project.embedded.ports import HOST
from relay_project.embedded.processes import Program
from relay_project.embedded.state import CHECKOUT

METRICS = "metrics"  # where, in the state directory, web processes write what they count
USED_IF_SET = ("DATABASE_URL", "REDIS_URL", "OLLAMA_HOST")


@dataclass(frozen=True, slots=True)
class Task:
    program: Program
    doing: str
    done: str


@dataclass(frozen=True, slots=True)
class Stack:
    directory: Path
    ports: Mapping[str, int]  # by variable; a server without a port is not ours to start
    secrets: Mapping[str, str]
    environment: Mapping[str, str]  # what the programs, and every manage.py while they run, find
    tasks: Sequence[Task]
    programs: Sequence[Program]

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ports['PORT']}"


def wanted_ports(environ: Mapping[str, str]) -> list[str]:
    wanted = {
        "PORT": True,
        "RELAY_PG_PORT": not environ.get("DATABASE_URL"),
        "RELAY_REDIS_PORT": not environ.get("REDIS_URL"),
        "RELAY_LLM_PORT": environ.get("RELAY_EMBEDDED_LLM") != "0",
    }
    return [variable for variable, is_wanted in wanted.items() if is_wanted]


def relay_stack(
    directory: Path, ports: Mapping[str, int], secrets: Mapping[str, str], environ: Mapping[str, str]
) -> Stack:
    environment = variables(ports, secrets, environ)
    programs = relay_programs(environment, directory / METRICS)
    return Stack(directory, ports, secrets, environment, relay_tasks(environment), programs)


def variables(ports: Mapping[str, int], secrets: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    made = {
        "RELAY_DEBUG": "1",
        "RELAY_DEV_OPEN_TENANT": "default",
        "RELAY_SECRET_KEY": secrets["secret_key"],
        "RELAY_KEY_PEPPER": secrets["key_pepper"],
        "RELAY_CREDENTIAL_KEYS": f"dev:{secrets['credential_key']}",
        "RELAY_ADMIN_PASSWORD": secrets["admin_password"],
        "PORT": str(ports["PORT"]),
    }
    if "RELAY_PG_PORT" in ports:
        made["DATABASE_URL"] = postgres.url(ports["RELAY_PG_PORT"], secrets["postgres_password"])
    if "RELAY_REDIS_PORT" in ports:
        made["REDIS_URL"] = valkey.url(ports["RELAY_REDIS_PORT"], secrets["redis_password"])
    if "RELAY_LLM_PORT" in ports:
        made["RELAY_EMBEDDED_LLM_URL"] = llama.url(ports["RELAY_LLM_PORT"])
    given = {name: environ[name] for name in (*made, *USED_IF_SET) if environ.get(name)}
    return made | given


def relay_tasks(environment: Mapping[str, str]) -> list[Task]:
    return [
        Task(_manage("migrate", environment, "migrate_schemas"), "Migrating the database", "Database migrated"),
        Task(_manage("seed", environment, "seed", "--samples", "600"), "Seeding the demo", "Demo tenant seeded"),
    ]


def relay_programs(environment: Mapping[str, str], metrics: Path) -> list[Program]:
    web = (
        *("-m", "uvicorn", "relay_project.asgi:application", "--host", HOST, "--port", environment["PORT"]),
        *("--no-access-log", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "3"),
    )
    worker = (
        *("-W", "ignore::Warning:celery.platforms"),  # its advice against root is no news here
        *("-m", "celery", "--quiet", "-A", "relay_project", "worker", "--loglevel", "WARNING"),
    )
    beat = ("--beat", "--concurrency", "1", "--scheduler", "django_celery_beat.schedulers:DatabaseScheduler")
    return [
        _python("web", {**environment, "PROMETHEUS_MULTIPROC_DIR": str(metrics)}, *web),
        _manage("lanes", environment, "runworker", "lanes"),
        _manage("traces", environment, "trace_writer"),
        _python("celery", {**environment, "C_FORCE_ROOT": "1"}, *worker, *beat),
        _python("evals", {**environment, "C_FORCE_ROOT": "1"}, *worker, "-Q", "evals", "--pool", "solo"),
    ]


def _manage(name: str, environment: Mapping[str, str], *arguments: str) -> Program:
    return _python(name, environment, "manage.py", *arguments)


def _python(name: str, environment: Mapping[str, str], *arguments: str) -> Program:
    return Program(
        name=name,
        argv=(sys.executable, *arguments),
        env={**environment, "PYTHONUNBUFFERED": "1"},
        cwd=CHECKOUT,
    )
