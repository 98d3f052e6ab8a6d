"""The API key of a run, or of the judge of a canary: made from the platform's secret and that, so that any worker that
takes it over has the key and nothing stores it. It lives as long as the run or the canary."""

import hmac
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from evals.models import Run
from routing.core.canary_calls import JUDGE
from routing.models import Canary, CanaryScoring, PolicyVersion
from routing.services import serve_version
from tenants.core.apikeys import NewKey, make_key
from tenants.models import ApiKey, Tenant
from tenants.services import revoke_api_key, save_api_key

LIFE = timedelta(days=7)
SCOPES = [ApiKey.Scope.CHAT, ApiKey.Scope.MODELS, ApiKey.Scope.EVALS]


def key_of(tenant: Tenant, run: Run) -> NewKey:
    return _key_for(f"API key of eval run {run.pk} of tenant {tenant.slug}, {run.created_at.isoformat()}")


def judges_key_of(tenant: Tenant, canary: Canary) -> NewKey:
    since = canary.started_at.isoformat()
    return _key_for(f"API key of the judge of canary {canary.pk} of tenant {tenant.slug}, {since}")


def _key_for(purpose: str) -> NewKey:
    return make_key(hmac.digest(settings.SECRET_KEY.encode(), purpose.encode(), "sha512"))


def versions_for(tenant: Tenant, *, staff: bool) -> QuerySet[PolicyVersion]:
    """What may be tried as the tenant: its policies, and the platform's, whose drafts are for the platform's staff."""
    platforms = Q(policy__tenant=None) if staff else Q(policy__tenant=None, policy__active_version=F("number"))
    return PolicyVersion.objects.filter(Q(policy__tenant=tenant) | platforms)


def version_of(tenant: Tenant, policy: str, number: int, *, staff: bool) -> PolicyVersion | None:
    """Of the tenant's policy with that name, else of the platform's."""
    found = versions_for(tenant, staff=staff).filter(policy__slug=policy, number=number)
    return found.order_by("policy__tenant").first()  # PostgreSQL sorts null last


@transaction.atomic
def open_door(tenant: Tenant, run: Run) -> str:
    """The key's text; it and the policy version are in force within a second. Raises PolicyVersion.DoesNotExist."""
    version = version_of(tenant, run.policy, run.policy_version, staff=True)  # who made the run was asked then
    key = key_of(tenant, run)
    if version is None:
        raise PolicyVersion.DoesNotExist(f"The policy “{run.policy}” has no version {run.policy_version} any more.")
    until: datetime = timezone.now() + LIFE
    serve_version(version, until)
    if not ApiKey.objects.filter(key_id=key.key_id).update(expires_at=until, revoked_at=None):
        _keep(tenant, key, f"eval run {run.pk}", until)
    return key.text


def close_door(key_id: str) -> None:
    key = ApiKey.objects.filter(key_id=key_id).first()
    if key is not None:
        revoke_api_key(key=key)


@transaction.atomic
def open_judges_door(tenant: Tenant, canary: Canary) -> bool:
    """False: the key is new, and in force within a second. One that somebody revoked stays revoked."""
    key, now = judges_key_of(tenant, canary), timezone.now()
    row = ApiKey.objects.filter(key_id=key.key_id).first()
    if row is None:
        _keep(tenant, key, f"{JUDGE}{canary.pk}", now + LIFE)
        CanaryScoring.objects.filter(canary=canary).update(key_id=key.key_id)
        return False
    if row.expires_at is not None and row.expires_at < now + LIFE / 2:
        ApiKey.objects.filter(pk=row.pk).update(expires_at=now + LIFE)
    return True


def _keep(tenant: Tenant, key: NewKey, name: str, until: datetime) -> None:
    row = ApiKey(tenant=tenant, name=name, scopes=SCOPES, expires_at=until, created_by="evals")
    save_api_key(row, key)
