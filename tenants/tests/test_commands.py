import io
import json
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from conftest import unique
from tenants.core.apikeys import key_id_of, matches
from tenants.models import ApiKey, Tenant

pytestmark = pytest.mark.django_db


def run(*args: str) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command(*args, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_a_tenant_and_its_first_key() -> None:
    slug = unique("shop")
    out, hint = run("create_tenant", slug, "--name=The shop", "--content=metadata")
    tenant = Tenant.objects.get(slug=slug)
    assert "created" in out and f"create_api_key {slug}" in hint
    assert (tenant.name, tenant.content) == ("The shop", "metadata")
    out, hint = run("create_api_key", slug, "web", "--scope=chat", "--expires=2099-01-31")
    row = ApiKey.objects.get(tenant=tenant)
    assert key_id_of(out.strip()) == row.key_id and matches(out.strip(), settings.RELAY_KEY_PEPPER, row.digest)
    assert row.scopes == ["chat"] and row.expires_at is not None and row.expires_at.year == 2099
    assert out.strip() not in hint


def test_json_is_one_object(tenant_a: Tenant, capfd: pytest.CaptureFixture[str]) -> None:
    made: Any = json.loads(run("create_api_key", "acme", unique("ci"), "--json")[0])
    assert made["tenant"] == "acme" and key_id_of(made["key"]) == made["id"]
    slug = unique("json")
    assert json.loads(run("create_tenant", slug, "--json")[0])["slug"] == slug
    assert capfd.readouterr().out == "", "the migrations of the schema keep quiet"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["create_tenant", "acme"], "already exists"),
        (["create_tenant", "Not a slug"], "Use a-z"),
        (["create_api_key", "nobody", "web"], "create_tenant nobody"),
        (["create_api_key", "acme", "web", "--expires=tomorrow"], "must look like"),
        (["create_api_key", "acme", "web", "--expires=2001-01-01"], "in the past"),
        (["create_api_key", "acme", "x" * 200], "at most 80"),
    ],
)
def test_errors_say_what_to_do(args: list[str], words: str, tenant_a: Tenant) -> None:
    with pytest.raises(CommandError, match=words):
        run(*args)
