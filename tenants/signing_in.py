"""Sign-ins, sign-outs and refused sign-ins in the audit log.

What was typed as a name may be a password, so only names of people who exist are kept, and never a password. Refused
ones are kept once a minute for each name, so that guessing fills no log.
"""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.core.cache import cache
from django.dispatch import receiver
from django.http import HttpRequest

from tenants.acting import Actor
from tenants.audit import address_of, record
from tenants.models import AuditEntry, Tenant, User

ONCE_IN_S = 60
UNKNOWN = "(nobody of this name)"
PEOPLE = "tenants_user"
Action = AuditEntry.Action


@receiver(user_logged_in)
def signed_in(request: HttpRequest, user: User, **about: Any) -> None:
    _record(Action.SIGNED_IN, user, request)


@receiver(user_logged_out)
def signed_out(request: HttpRequest, user: User | None, **about: Any) -> None:
    if user is not None:  # a session that was over
        _record(Action.SIGNED_OUT, user, request)


@receiver(user_login_failed)
def refused(credentials: Mapping[str, Any], request: HttpRequest | None = None, **about: Any) -> None:
    """Without Redis each is kept: nobody knows which were kept before."""
    user = User.objects.filter(username=str(credentials.get("username", "")).replace("\x00", "")).first()
    if cache.add(f"refused-sign-in:{user.pk if user else 0}", 1, ONCE_IN_S) is False:
        return
    if user is not None:
        _record(Action.NOT_SIGNED_IN, user, request)
    else:
        record(action=Action.NOT_SIGNED_IN, object=PEOPLE, name=UNKNOWN, actor=_who(UNKNOWN, request))


def _record(action: str, user: User, request: HttpRequest | None) -> None:
    name = user.get_username()
    record(action=action, object=PEOPLE, name=name, tenant=_only_tenant(user), actor=_who(name, request))


def _only_tenant(user: User) -> Tenant | None:
    """Whose admins see it: the tenant that this person belongs to, if it is one. Who belongs to several, or to the
    platform, is the platform's: none of them should learn when the person works for another."""
    found = list(Tenant.objects.filter(memberships__user=user).distinct()[:2])
    return found[0] if len(found) == 1 and not user.is_staff_of_platform else None


def _who(name: str, request: HttpRequest | None) -> Actor:
    return Actor(AuditEntry.ActorKind.USER, name, address_of(request) if request is not None else "")
