"""`manage.py relay`: the admin API's acts from the shell; and what the help and the audit log make of commands."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from conftest import unique
from relay_project.command_line import CommandLine, by_section
from tenants import services
from tenants.models import ApiKey, AuditEntry, Quota, Tenant


def run(capsys: Any, *args: str) -> Any:
    call_command("relay", "--json", *args)
    return json.loads(capsys.readouterr().out)


@pytest.mark.django_db
def test_what_there_is(tenant_a: Tenant, tenant_b: Tenant, capsys: Any) -> None:
    key = services.create_api_key(tenant=tenant_a, name=unique("shell"))[0]
    Quota.objects.create(tenant=tenant_a, api_key=key, metric="tokens", limit=50)
    assert {"acme", "globex"} <= {row["slug"] for row in run(capsys, "tenants")}
    assert {row["tenant"] for row in run(capsys, "keys", "--tenant", "acme")} == {"acme"}
    [quota] = [row for row in run(capsys, "quotas", "--tenant", "acme") if row["key"] == key.name]
    assert (quota["limit"], quota["when_over"]) == (50, "refuse")
    assert isinstance(run(capsys, "usage", "--tenant", "globex", "--days", "1"), list)
    assert run(capsys, "status")["build"]["version"]
    call_command("relay", "status")
    call_command("relay", "keys", "--tenant", "acme")
    shown = capsys.readouterr().out
    assert "trace_writer:" in shown and key.name in shown


@pytest.mark.django_db
def test_what_can_be_done(tenant_a: Tenant, capsys: Any) -> None:
    key = services.create_api_key(tenant=tenant_a, name=unique("shell"))[0]
    run(capsys, "keys", "--revoke", key.key_id)
    assert ApiKey.objects.get(pk=key.pk).revoked_at is not None
    assert run(capsys, "policy", "cheapest")["default_policy"] == "cheapest"
    assert run(capsys, "policy", "none")["default_policy"] is None
    assert run(capsys, "reload") == {"status": "reloading"}
    assert AuditEntry.objects.filter(object="tenants_platform").count() >= 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["policy", "fastest"], "choose ordered"),
        (["keys", "--tenant", "nobody"], "no tenant"),
        (["keys", "--revoke", "nothing"], "no API key"),
        (["usage", "--days", "400"], "1 to 92"),
    ],
)
def test_errors_say_what_to_do(args: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("relay", *args)


def test_relays_own_commands_stand_first_and_together() -> None:
    sections = by_section({"relay": "relay_project", "migrate": "django.core", "seed": "relay_project", "x": "routing"})
    assert "relay]" in CommandLine(["manage.py"]).main_help_text().split("core]")[0]
    assert list(sections.items()) == [("relay", ["relay", "seed", "x"]), ("core", ["migrate"])]


def test_a_command_is_named_in_the_audit_log(tenant_a: Tenant, django_db_blocker: Any) -> None:
    name = unique("by-command")
    command = [sys.executable, "manage.py", "create_api_key", "acme", name]
    subprocess.run(command, env=os.environ, capture_output=True, check=True)
    with django_db_blocker.unblock():
        entry = AuditEntry.objects.get(object="tenants_apikey", name=name)
        assert entry.actor_kind == "command" and entry.actor.endswith("create_api_key") and entry.number
