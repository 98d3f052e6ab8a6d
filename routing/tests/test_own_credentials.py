"""A tenant's own credential in live traffic: it goes with this tenant's requests only, its trouble is nobody else's."""

from aiohttp import web
from django.db import transaction

from conftest import unique
from routing.credentials import set_credential
from routing.models import Deployment, Policy, Provider, Route
from routing.services import import_policy
from routing.tests.stage import NO_CACHE, Stage
from routing.tests.upstream import Body, says
from tenants.models import Tenant

PLATFORM, OWN = "sk-of-the-platform-0123456789", "sk-revoked-0123456789"


def test_a_tenants_revoked_credential_fails_for_this_tenant_alone(stage: Stage, tenant_b: Tenant) -> None:
    asked_with: list[str] = []

    async def knows_the_platforms_only(request: web.Request, body: Body) -> web.StreamResponse:
        asked_with.append(request.headers["Authorization"])
        if asked_with[-1] != f"Bearer {PLATFORM}":
            return web.json_response({"error": {"message": "revoked"}}, status=401)
        return await says("fine")(request, body)

    name, base = unique("shared"), stage.shells.express
    stage.fake.scripts[name] = knows_the_platforms_only
    with transaction.atomic():
        provider = Provider.objects.create(slug=name, base_url=stage.fake.url, allow_private=True)
        row = Deployment.objects.create(slug=name, provider=provider, model=name)
        import_policy(tenant=None, slug=name, text=NO_CACHE, activated=True)
        Route.objects.create(name=name, policy=Policy.objects.get(slug=name)).steps.create(deployment=row)
        set_credential(provider=provider, tenant=None, secret=PLATFORM)
        set_credential(provider=provider, tenant=stage.tenant, secret=OWN)
    ours, theirs = stage.key(), stage.key(tenant_b)
    stage.in_both(lambda base: all(name in stage.models(base, key).text for key in (ours, theirs)))

    for _ in range(3):
        assert stage.ask(base, name).status_code == 503
    answer = stage.ask(base, name, key=theirs)
    assert answer.status_code == 200
    assert asked_with == [*[f"Bearer {OWN}"] * 3, f"Bearer {PLATFORM}"]
    (candidate,) = stage.trace(answer, tenant_b).plan_json["candidates"]
    assert "ailed" not in candidate["why"]
