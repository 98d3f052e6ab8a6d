from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from routing.models import Deployment, Provider, Route
from routing.services import import_policy
from routing.tests.stage import NO_CACHE

pytestmark = pytest.mark.django_db
SHIPPED = settings.BASE_DIR / "deploy/kubernetes/overlays/multi-model/catalogue.yaml"


@pytest.fixture(autouse=True)
def policy(db: None) -> None:
    import_policy(tenant=None, slug="demo", text=NO_CACHE, activated=True)


def apply(path: Path, capsys: pytest.CaptureFixture[str], **options: Any) -> list[str]:
    call_command("apply_catalogue", str(path), **options)
    return capsys.readouterr().out.splitlines()


def test_the_file_of_the_multi_model_overlay_becomes_rows_once(capsys: pytest.CaptureFixture[str]) -> None:
    first = apply(SHIPPED, capsys)
    assert "✓ routes.ab-test.candidates" in first
    provider = Provider.objects.get(slug="vllm-3b")
    assert (provider.kind, provider.base_url, provider.allow_private) == (
        "openai_compatible",
        "http://vllm-3b.relay.svc:8000/v1",
        True,
    )
    assert {route.path: shares(route) for route in Route.objects.filter(path__in=["1b", "3b", "ab-test"])} == {
        "1b": [("vllm-1b", None)],
        "3b": [("vllm-3b", None)],
        "ab-test": [("vllm-1b", 70), ("vllm-3b", 30)],
    }
    assert apply(SHIPPED, capsys) == ["✓ All is as the file says."]


def test_what_is_not_named_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(SHIPPED, capsys)
    Deployment.objects.filter(slug="vllm-1b").update(capacity=7)
    only_the_window = tmp_path / "file.yaml"
    only_the_window.write_text("deployments: {vllm-1b: {context_window: 4096}}")
    assert apply(only_the_window, capsys, dry_run=True) == ["✓ deployments.vllm-1b would change"]
    assert Deployment.objects.get(slug="vllm-1b").context_window == 16384
    assert apply(only_the_window, capsys) == ["✓ deployments.vllm-1b"]
    row = Deployment.objects.get(slug="vllm-1b")
    assert (row.context_window, row.capacity) == (4096, 7)


SOUND = """
providers: {sound: {name: Sound, kind: mock}}
deployments: {sound: {provider: sound, model: m}}
"""
MISTAKES = {
    SOUND + "routes: {x: {policy: nobodys}}": "routes.x.policy: There is no policy “nobodys”",
    SOUND + "routes: {x: {polcy: demo}}": "routes.x.polcy: is not a field; there are alias_of,",
    SOUND + "routes: {x: {policy: demo, path: A B}}": "routes.x.path: Use a-z",
    SOUND + "routes: {x: {}}": "routes.x.policy: Choose a policy",
    SOUND + "routes: {x: {policy: demo, tenant: acme}}": "routes.x.tenant: is not a field",
    SOUND + "routes: {x: {policy: demo, candidates: [sound]}}": "routes.x.candidates: must be a list of",
    SOUND + "routes: {x: {policy: demo, candidates: [{}]}}": "x.candidates[0].deployment: There is no deployment",
    SOUND
    + "routes: {x: {policy: demo, candidates: [{deployment: sound, share: 70}]}}": "x.candidates: The shares must sum",
    SOUND
    + "routes: {x: {policy: demo, candidates: [{deployment: sound, share: many}]}}": "x.candidates: Shares are whole",
    SOUND + "routes: {x: {policy: demo, candidates: [{deployment: sound}, {deployment: sound}]}}": "x.candidates[1]: ",
    SOUND + "routes: {x: {policy: [demo]}}": "routes.x.policy: There is no policy",
    "providers: {sound: {name: Sound, kind: mock}}\ndeployments: {1: {}}": "deployments.1: must be a name",
    "providers: {sound: {name: Sound, kind: mock}}\ndeployments: [x]": "deployments: must map names",
    "providers: {sound: {name: Sound, kind: openai_compatible}}": "providers.sound.base_url: Say where it is",
    "tenants: {}": "must hold providers, deployments, routes",
    "{": "This is not YAML",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items(), ids=MISTAKES.values())
def test_a_mistake_is_named_and_nothing_is_written(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(CommandError) as error:
        call_command("apply_catalogue", str(file))
    assert str(error.value).startswith("Nothing was changed.") and said in str(error.value)
    assert not Provider.objects.filter(slug="sound").exists()


def shares(route: Route) -> list[tuple[str, int | None]]:
    return list(route.steps.values_list("deployment__slug", "share"))
