"""Every write to policies: drafts, activation, roll-back. The console and the commands call these; nothing else writes.
Routes are written by the console's own forms and, with their candidates, by ``save_route``.

A save never overwrites: version n+1 is inserted on top of version n, and the database refuses a second n+1. Activation
is a conditional update on the version that was active when the person decided.
"""

from collections.abc import Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from routing.core.policy import PolicyInvalid, Problem
from routing.core.split import problem_with
from routing.documents import MAX_BYTES, read_policy
from routing.models import Deployment, Policy, PolicyVersion, Route, RouteCandidate, ServedVersion
from tenants.models import Tenant

STARTER = """\
# What a request gets. The first rule that matches wins; the rest comes from defaults.
description: A first policy

buckets:            # by estimated input and requested output tokens; what fits neither is long
  short: {max_input_tokens: 300, max_output_tokens: 256}
  medium: {max_input_tokens: 2000, max_output_tokens: 1024}

profiles:
  precise: {temperature: 0.2}

defaults:
  lane: short
  max_tokens: 512
  cache: {exact: true, semantic: false, ttl_s: 3600}

rules:
  - name: long-requests
    when: {bucket: long}
    then: {lane: long, decoding: precise, max_tokens: 1024}
"""


class Conflict(Exception):
    """Somebody else was faster. ``current`` is the version that now stands where the caller's was expected."""

    def __init__(self, current: int | None) -> None:
        super().__init__(f"Meanwhile v{current} was saved." if current else "Meanwhile it was changed.")
        self.current = current


@transaction.atomic
def create_policy(*, tenant: Tenant | None, slug: str, name: str = "", text: str = STARTER, author: str = "") -> Policy:
    """A policy with its first draft; nothing is active yet. Raises ValidationError that names the field."""
    policy = Policy(tenant=tenant, slug=slug, name=name or slug)
    policy.full_clean()
    policy.save()
    save_draft(policy=policy, text=text, note="First draft", author=author, base=0)
    return policy


def save_draft(*, policy: Policy, text: str, note: str = "", author: str = "", base: int) -> PolicyVersion:
    """Version ``base + 1``. Raises Conflict if that exists, PolicyInvalid if the text can't be stored at all."""
    text = text.replace("\r\n", "\n")
    if "\x00" in text or len(text.encode()) > MAX_BYTES:
        raise PolicyInvalid([Problem((), f"must be text of at most {MAX_BYTES // 1024} KiB without NUL characters.")])
    if base and not policy.versions.filter(number=base).exists():
        raise Conflict(newest_number(policy))
    version = PolicyVersion(policy=policy, number=base + 1, text=text, note=note[:200], author=author)
    try:
        with transaction.atomic():
            version.save()
    except IntegrityError:
        raise Conflict(newest_number(policy)) from None
    return version


def newest_number(policy: Policy) -> int:
    """0 without versions."""
    return policy.versions.order_by("-number").values_list("number", flat=True).first() or 0


@transaction.atomic
def activate(*, policy: Policy, number: int, expected: int | None, note: str = "") -> PolicyVersion:
    """Live traffic uses the version within a second, everywhere. ``expected`` is the version that was active when the
    caller decided. Nothing is proven here: what people do goes through ``activation``.

    Raises PolicyInvalid, PolicyVersion.DoesNotExist, or Conflict with the version that is active.
    """
    version = policy.versions.get(number=number)
    read_policy(version.text)
    if not Policy.objects.filter(pk=policy.pk, active_version=expected).update(active_version=number):
        raise Conflict(Policy.objects.values_list("active_version", flat=True).get(pk=policy.pk))
    version.activated_at = timezone.now()
    version.note = note[:200] or version.note
    version.save(update_fields=["activated_at", "note"])
    policy.active_version = number
    return version


def serve_version(version: PolicyVersion, until: datetime) -> None:
    """From within a second on and until then it can be asked for, as “policy@number”, by keys that may."""
    row, is_new = ServedVersion.objects.get_or_create(version=version, defaults={"until": until})
    if not is_new and row.until < until:
        row.until = until
        row.save(update_fields=["until"])


class NeverActive(Exception):
    """There is no way back to a version that was never there: it must be proven as any other."""


@transaction.atomic
def roll_back(*, policy: Policy, to: int, expected: int | None, author: str = "") -> PolicyVersion:
    """The text of an earlier version as a new one, active at once: it needs no proof, as it was in use. Raises
    NeverActive, and as ``activate``."""
    old = policy.versions.get(number=to)
    if old.activated_at is None:
        raise NeverActive
    draft = save_draft(
        policy=policy, text=old.text, note=f"Roll back to v{to}", author=author, base=newest_number(policy)
    )
    return activate(policy=policy, number=draft.number, expected=expected)


@transaction.atomic
def import_policy(
    *, tenant: Tenant | None, slug: str, text: str, activated: bool = False, note: str = "", author: str = ""
) -> tuple[PolicyVersion, bool]:
    """The version that holds the text, and whether it is new; the same text again is not. Raises PolicyInvalid."""
    read_policy(text)
    policy = Policy.objects.filter(tenant=tenant, slug=slug).first()
    if policy is None:
        policy = create_policy(tenant=tenant, slug=slug, text=text, author=author)
        version, is_new = policy.versions.get(), True
    else:
        newest = policy.versions.order_by("-number").first()
        is_new = newest is None or newest.text != text
        if newest is None or is_new:
            base = newest.number if newest else 0
            newest = save_draft(policy=policy, text=text, note=note, author=author, base=base)
        version = newest
    if activated and policy.active_version != version.number:
        activate(policy=policy, number=version.number, expected=policy.active_version, note=note)
    return version, is_new


@transaction.atomic
def save_route(route: Route, *, candidates: Sequence[tuple[Deployment, int | None]]) -> Route:
    """The route with exactly these deployments and shares, in this order. Raises ValidationError that names the field:
    of the route, or “share”."""
    check_candidates(alias=route.alias_of_id is not None, shares=[share for _, share in candidates])
    route.full_clean()
    route.save()
    route.steps.all().delete()
    for position, (deployment, share) in enumerate(candidates):
        RouteCandidate.objects.create(route=route, deployment=deployment, position=position, share=share)
    return route


def check_candidates(*, alias: bool, shares: Sequence[int | None]) -> None:
    """Raises ValidationError that names the field."""
    if alias and shares:
        raise ValidationError({"deployment": "An alias has the candidates of its target: remove these."})
    if problem := problem_with(shares):
        raise ValidationError({"share": problem})
