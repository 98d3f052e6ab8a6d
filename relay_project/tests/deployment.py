"""What the tests of the deployment files share: which variables the code reads, and whether settings accept some."""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Mapping

from relay_project.embedded.state import CHECKOUT

READ = re.compile(r"""(?:\benv\.\w+|os\.environ(?:\.get)?)[(\[]\s*["']([A-Z][A-Z0-9_]+)["']""")
NOT_OURS = {"DJANGO_SETTINGS_MODULE", "OPENBLAS_NUM_THREADS"}  # set by the code itself
READ_BY_OTHERS = {
    "WEB_CONCURRENCY",
    "PROMETHEUS_MULTIPROC_DIR",
    "CLOUDFLARE_ACCOUNT_ID",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
}  # uvicorn, prometheus_client, seed, OpenTelemetry (and relay_project/env.py)
DEVELOPMENT = {"RELAY_DEBUG", "RELAY_DEV_OPEN_TENANT", "RELAY_EMBEDDED_LLM_URL"}
PROVIDER_KEY = re.compile(r"[A-Z0-9_]+_API_KEY")


def read_by_the_code() -> set[str]:
    """Variables that the programs of an installation read; what only `make dev` and benchmarks read is left out."""
    found: set[str] = set()
    for path in CHECKOUT.glob("[a-z]*/**/*.py"):
        if not {"tests", "embedded", "bench"} & {*path.relative_to(CHECKOUT).parts}:
            found.update(READ.findall(path.read_text()))
    return found - NOT_OURS


def variables_in(text: str) -> dict[str, str]:
    """Of an .env file."""
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled_in(variables: Mapping[str, str]) -> dict[str, str]:
    """With a secret of its own for each that is left empty and named like one, made as the example says."""
    secret = re.compile(r"(PASSWORD|SECRET_KEY|PEPPER)$")
    return {
        name: value or (secrets.token_urlsafe(48) if secret.search(name) else "") for name, value in variables.items()
    }


def refused(variables: Mapping[str, str]) -> str:
    """What settings say against these variables alone; empty if they accept them, and Django has no warning either."""
    kept = {name: os.environ[name] for name in ("PATH", "RELAY_STATE_DIR") if name in os.environ}
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, env={**kept, **variables}, cwd=CHECKOUT, capture_output=True, text=True, timeout=120)
    return "" if done.returncode == 0 else done.stderr
