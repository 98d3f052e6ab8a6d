"""docker-compose.yml and .env.example: valid, complete, and of one mind with the code. No engine is needed."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_pydantic import ComposeSpecification
from django.core.management import get_commands

from relay_project.embedded.state import CHECKOUT
from relay_project.tests.deployment import (
    DEVELOPMENT,
    PROVIDER_KEY,
    READ_BY_OTHERS,
    filled_in,
    read_by_the_code,
    refused,
    variables_in,
)

TEXT = (CHECKOUT / "docker-compose.yml").read_text()
EXAMPLE = (CHECKOUT / ".env.example").read_text()
SUBSTITUTED = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(TEXT)
    return document


@pytest.fixture(scope="module")
def relay(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in compose["services"].items() if one["image"].startswith("relay:")}


def test_the_file_follows_the_specification(compose: dict[str, Any]) -> None:
    ComposeSpecification.model_validate({key: part for key, part in compose.items() if not key.startswith("x-")})


def test_what_a_service_names_is_there(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert {*service["networks"]} <= {*compose["networks"]}, name
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other].get("healthcheck", {}) or other == "web", f"{name} waits for {other}"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (CHECKOUT / source).exists() if source.startswith(".") else source in compose["volumes"], name


def test_nothing_is_open_to_the_network_and_state_not_even_to_the_machine(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert compose["networks"]["state"]["internal"]
    outward = [name for name in ("web", "traces", "celery") if "front" in compose["services"][name]["networks"]]
    assert outward == ["web", "traces", "celery"]  # to providers, a collector, receivers of alerts
    for name in ("postgres", "valkey"):
        assert compose["services"][name]["networks"] == ["state"] and "ports" not in compose["services"][name]


def test_every_service_is_pinned_bounded_and_comes_back(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert re.search(r":v?\d+\.\d+\.\d+(-|$)|^relay:\$", service["image"]), name
        if name != "migrate":
            assert service["deploy"]["resources"]["limits"]["memory"], name
            assert service["restart"] == "unless-stopped", name


def test_relay_runs_with_no_right_that_it_does_not_need(relay: dict[str, Any]) -> None:
    assert {*relay} == {"migrate", "web", "lanes", "traces", "celery", "evals", "beat"}
    for service in relay.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    assert relay["lanes"]["deploy"]["replicas"] == relay["beat"]["deploy"]["replicas"] == 1


def test_all_but_the_migration_wait_for_it(relay: dict[str, Any]) -> None:
    for name, service in relay.items():
        waits = service["depends_on"].get("migrate")
        assert name == "migrate" or waits == {"condition": "service_completed_successfully"}


def test_every_command_of_manage_py_exists(relay: dict[str, Any]) -> None:
    said = " ".join(str(word) for service in relay.values() for word in service.get("command", []))
    named = re.findall(r"manage\.py (\w+)", said)
    assert {*named} == {"migrate_schemas", "seed", "runworker", "trace_writer"}
    assert {*named} <= {*get_commands()}


def test_every_variable_is_one_that_somebody_reads(relay: dict[str, Any]) -> None:
    given = {*variables_in(EXAMPLE)}.union(*(service["environment"] for service in relay.values()))
    substituted = {found[1] for found in SUBSTITUTED.finditer(TEXT)}
    assert given - substituted - READ_BY_OTHERS <= read_by_the_code()
    assert substituted - {"RELAY_VERSION"} <= {*variables_in(EXAMPLE)}


def test_every_variable_that_the_code_reads_is_explained(relay: dict[str, Any]) -> None:
    given = {*variables_in(EXAMPLE), "RELAY_SPOOL_DIR"}.union(*(service["environment"] for service in relay.values()))
    missing = {name for name in read_by_the_code() - DEVELOPMENT - given if not PROVIDER_KEY.fullmatch(name)}
    assert not missing, ".env.example should say what these are for"


def test_settings_accept_the_example_once_it_is_filled_in(relay: dict[str, Any], tmp_path: Path) -> None:
    env_file = filled_in(variables_in(EXAMPLE))
    environment = {name: substitute(value, env_file) for name, value in relay["web"]["environment"].items()}
    here = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)} if environment["PROMETHEUS_MULTIPROC_DIR"] else {}
    assert refused({**env_file, **environment, **here}) == ""


def test_settings_refuse_the_example_as_it_is() -> None:
    assert "RELAY_SECRET_KEY must be set" in refused(variables_in(EXAMPLE))


def substitute(value: str, variables: dict[str, str]) -> str:
    def one(found: re.Match[str]) -> str:
        name, how, otherwise = found.groups()
        if how == "?":
            assert variables[name], name
        return variables.get(name) or (otherwise if how == "-" else "")

    return SUBSTITUTED.sub(one, str(value))
