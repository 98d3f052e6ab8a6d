"""The API key of a run: made from the platform's secret and the run, so that any worker that takes the run over has it
and nothing stores it. It lives as long as the run."""

import hmac
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from evals.models import Run
from routing.models import PolicyVersion
from routing.services import serve_version
from tenants.core.apikeys import NewKey, make_key
from tenants.models import ApiKey, Tenant
from tenants.services import revoke_api_key, save_api_key

LIFE = timedelta(days=7)
SCOPES = [ApiKey.Scope.CHAT, ApiKey.Scope.MODELS, ApiKey.Scope.EVALS]


def key_of(tenant: Tenant, run: Run) -> NewKey:
    purpose = f"API key of eval run {run.pk} of tenant {tenant.slug}, {run.created_at.isoformat()}"
    return make_key(hmac.digest(settings.SECRET_KEY.encode(), purpose.encode(), "sha512"))


def version_of(tenant: Tenant, policy: str, number: int) -> PolicyVersion | None:
    """Of the tenant's policy with that name, else of the platform's, whose drafts are no tenant's to try."""
    usable = Q(policy__tenant=tenant) | Q(policy__tenant=None, policy__active_version=F("number"))
    found = PolicyVersion.objects.filter(usable, policy__slug=policy, number=number)
    return found.order_by("policy__tenant").first()  # PostgreSQL sorts null last


@transaction.atomic
def open_door(tenant: Tenant, run: Run) -> str:
    """The key's text; it and the policy version are in force within a second. Raises PolicyVersion.DoesNotExist."""
    version, key = version_of(tenant, run.policy, run.policy_version), key_of(tenant, run)
    if version is None:
        raise PolicyVersion.DoesNotExist(f"The policy “{run.policy}” has no version {run.policy_version} any more.")
    until: datetime = timezone.now() + LIFE
    serve_version(version, until)
    kept = ApiKey.objects.filter(key_id=key.key_id).update(expires_at=until, revoked_at=None)
    if not kept:
        row = ApiKey(tenant=tenant, name=f"eval run {run.pk}", scopes=SCOPES, expires_at=until, created_by="evals")
        save_api_key(row, key)
    return key.text


def close_door(tenant: Tenant, run: Run) -> None:
    key = ApiKey.objects.filter(key_id=key_of(tenant, run).key_id).first()
    if key is not None:
        revoke_api_key(key=key)
