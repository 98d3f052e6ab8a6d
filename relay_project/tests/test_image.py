"""The Dockerfile and its context, as far as they can be checked without an engine."""

import json
import re
import tomllib

import pytest

from relay_project.embedded.state import CHECKOUT

Instruction = tuple[str, str]


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    text = re.sub(r"^#.*\n", "", (CHECKOUT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def last(instructions: list[Instruction], word: str) -> str:
    return [rest for first, rest in instructions if first == word][-1]


def test_it_is_built_from_one_exact_version(instructions: list[Instruction]) -> None:
    bases = {rest.split()[0] for first, rest in instructions if first == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases.pop())


def test_it_does_not_run_as_root_and_gets_signals_itself(instructions: list[Instruction]) -> None:
    uid, group = last(instructions, "USER").split(":")
    assert int(uid) >= 10_000 and group == "0", "any uid of group 0 will do, as OpenShift wants it"
    started = json.loads(last(instructions, "ENTRYPOINT")) + json.loads(last(instructions, "CMD"))
    assert started[:3] == ["tini", "--", "uvicorn"], "no shell that would keep the signal to itself"
    assert "relay_project.asgi:application" in started


def test_its_health_is_asked_by_what_is_in_it(instructions: list[Instruction]) -> None:
    check = json.loads(last(instructions, "HEALTHCHECK").split("CMD", 1)[1])
    assert check[0] == "python"
    compile(check[2], "HEALTHCHECK", "exec")
    assert "http://localhost:8000/health" in check[2]


def test_it_holds_no_secret(instructions: list[Instruction]) -> None:
    kept = " ".join(rest for first, rest in instructions if first in {"ENV", "ARG", "LABEL"})
    assert not re.search(r"SECRET|PEPPER|PASSWORD|TOKEN|_KEY", kept)
    assert ".env" not in allowed()
    assert {".env", "secrets.env"} <= {*(CHECKOUT / ".gitignore").read_text().split()}


def test_its_context_is_all_of_relay_and_nothing_else() -> None:
    packages = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
    others = {"manage.py", "requirements.txt", "constraints.txt", "templates", "static", "policies"}
    assert allowed() == {*packages, *others}
    assert {"*", "**/tests"} <= {*ignored()}


def ignored() -> list[str]:
    lines = (CHECKOUT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "!"))]


def allowed() -> set[str]:
    return {line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
