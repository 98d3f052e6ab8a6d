import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from conftest import unique
from routing.models import Policy
from routing.services import STARTER
from tenants.models import Tenant

pytestmark = pytest.mark.django_db


def run(*args: str) -> str:
    out = io.StringIO()
    call_command(*args, stdout=out)
    return out.getvalue()


def test_what_is_imported_is_exported_again(tmp_path: Path, tenant_a: Tenant) -> None:
    file, slug = tmp_path / "policy.yaml", unique("imported")
    file.write_text(STARTER)
    assert f"{slug} v1 saved and active" in run(
        "policy_import", str(file), "--tenant=acme", f"--slug={slug}", "--activate"
    )
    assert run("policy_export", slug, "--tenant=acme") == STARTER
    file.write_text(STARTER + "# more\n")
    assert "v2 saved" in run("policy_import", str(file), "--tenant=acme", f"--slug={slug}", "--note=More words")
    assert "v2 is the newest already" in run("policy_import", str(file), "--tenant=acme", f"--slug={slug}")
    policy = Policy.objects.get(tenant=tenant_a, slug=slug)
    assert policy.active_version == 1 and policy.versions.get(number=2).note == "More words"
    assert run("policy_export", slug, "--tenant=acme") == STARTER
    assert run("policy_export", slug, "--tenant=acme", "--number=2").endswith("# more\n")
    run("policy_import", str(file), "--tenant=acme", f"--slug={slug}", "--activate")
    assert Policy.objects.get(pk=policy.pk).active_version == 2


def test_the_file_names_the_policy(tmp_path: Path) -> None:
    name = unique("night")
    file = tmp_path / f"policy.{name}.yaml"
    file.write_text(STARTER)
    run("policy_import", str(file))
    assert Policy.objects.get(slug=name).tenant is None


def test_stdin_needs_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(STARTER))
    with pytest.raises(CommandError, match="--slug NAME"):
        run("policy_import", "-")
    slug = unique("piped")
    run("policy_import", "-", f"--slug={slug}")
    assert run("policy_export", slug) == STARTER


def test_problems_are_named_by_line_and_nothing_is_saved(tmp_path: Path) -> None:
    file, slug = tmp_path / "policy.yaml", unique("broken")
    file.write_text(STARTER.replace("lane: short", "lane: middle"))
    with pytest.raises(CommandError, match=r"line \d+  defaults.lane: must be one of short, long"):
        run("policy_import", str(file), f"--slug={slug}")
    assert not Policy.objects.filter(slug=slug).exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["policy_import", "/nowhere/policy.x.yaml"], "can't be read"),
        (["policy_export", "no-such-policy"], "no policy"),
        (["policy_export", "demo", "--tenant=no-such-tenant"], "create_tenant no-such-tenant"),
    ],
)
def test_errors_say_what_to_do(args: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*args)


def test_a_bad_name_and_a_missing_version_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(STARTER)
    with pytest.raises(CommandError, match="Use a-z"):
        run("policy_import", str(file), "--slug=Not a slug")
    slug = unique("one")
    run("policy_import", str(file), f"--slug={slug}")
    with pytest.raises(CommandError, match="has no v9"):
        run("policy_export", slug, "--number=9")
