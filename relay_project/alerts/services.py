"""Every write of the alerts: channels, what began and is over, and the messages about it."""

import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction
from django.db.models import Q

from relay_project.alerts.core.conditions import Changes, Found, Open, compare, wait_s
from relay_project.alerts.models import Alert, AlertChannel, AlertMessage, Destination
from relay_project.alerts.sending import NotSent, send
from routing.credentials import NO_KEYS, Rotation
from routing.resolving import refusal_at_save
from routing.sealing import CannotOpen, CannotSeal, key_of, rewrap
from tenants.audit import record
from tenants.models import AuditEntry

LOOK_LOCK = 7_310_442_918
CLAIM = timedelta(minutes=5)  # a message whose sender died is tried again
KEPT = timedelta(days=30)
MOST_ADDRESSES = 5
Event = AlertMessage.Event
log = logging.getLogger("relay.alerts")


def save_channel(channel: AlertChannel, *, address: str = "") -> str:
    """The secret that signs a new webhook's messages, to be shown once; else empty. ``address`` empty: it stays.
    Raises ValidationError that names “address”."""
    secret = ""
    if address:
        if problem := problem_with(channel, address):
            raise ValidationError({"address": problem})
        if channel.kind == AlertChannel.Kind.WEBHOOK:
            secret = secret_of(channel) or secrets.token_urlsafe(32)
        is_new = secret != secret_of(channel)
        try:
            channel.lock(Destination(address, secret))
        except CannotSeal:
            raise ValidationError({"address": NO_KEYS}) from None
        channel.shown = shown(channel, address)
        secret = secret if is_new else ""
    channel.save()
    return secret


def secret_of(channel: AlertChannel) -> str:
    try:
        return channel.open().secret if channel.sealed else ""
    except CannotOpen:
        return ""


def rotate_channels(*, dry_run: bool = False) -> Rotation:
    """Puts every address under the first key. One that changes meanwhile is left as it was written."""
    rewrapped, current, lost = 0, 0, []
    for row in AlertChannel.objects.select_related("tenant"):
        try:
            again = rewrap(settings.RELAY_CREDENTIAL_KEYS, row.sealed, row.context)
        except CannotOpen:
            lost.append(f"alert channel {row.name} of {row.tenant.slug if row.tenant else 'the platform'}")
            continue
        if key_of(row.sealed) == key_of(again):
            current += 1
        elif dry_run or AlertChannel.objects.filter(pk=row.pk, sealed=row.sealed).update(sealed=again):
            rewrapped += 1
    return Rotation(rewrapped, current, tuple(lost))


def problem_with(channel: AlertChannel, address: str) -> str:
    """Why it may not have this address, as a sentence; empty if it may."""
    if channel.kind == AlertChannel.Kind.WEBHOOK:
        return refusal_at_save(address, allow_private=channel.allow_private)
    if not settings.EMAIL_HOST:
        return "Relay has no mail server: set RELAY_SMTP_URL and restart."
    given = [one.strip() for one in address.split(",")]
    if len(given) > MOST_ADDRESSES:
        return f"At most {MOST_ADDRESSES} addresses, separated by commas."
    for one in given:
        try:
            validate_email(one)
        except ValidationError:
            return f"“{one[:80]}” is not a mail address."
    return ""


def shown(channel: AlertChannel, address: str) -> str:
    """What pages show of it: of a URL the host only, since its path may be all that is needed to write there."""
    if channel.kind == AlertChannel.Kind.MAIL:
        return address[:200]
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}/…"[:200]


@transaction.atomic
def note(found: Found, now: float) -> Changes:
    """Begins and ends alerts, and writes the messages about them. Safe to run twice at a time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOOK_LOCK])
    moment = datetime.fromtimestamp(now, UTC)
    rows = {row.key: row for row in Alert.objects.filter(over_at=None)}
    changes = compare({key: Open(row.kind, row.seen_at.timestamp()) for key, row in rows.items()}, found, now)
    Alert.objects.filter(over_at=None, key__in=changes.seen).update(seen_at=moment)
    for one in changes.begun:
        alert = Alert.objects.create(
            key=one.key,
            kind=one.kind,
            tenant_id=one.tenant_id,
            title=one.title[:200],
            detail=one.detail[:500],
            began_at=moment,
            seen_at=moment,
        )
        for channel in channels_for(alert):
            AlertMessage.objects.create(
                channel=channel, alert=alert, event=Event.BEGAN, next_try_at=moment, created_at=moment
            )
    for key in changes.over:
        _end(rows[key], moment)
    Alert.objects.filter(over_at__lt=moment - KEPT).delete()
    AlertMessage.objects.filter(alert=None, created_at__lt=moment - KEPT).delete()
    return changes


def channels_for(alert: Alert) -> list[AlertChannel]:
    """The tenant's own, and those of staff, who look after all. Another tenant's are never among them."""
    mine = Q(tenant=None) if alert.tenant_id is None else Q(tenant=None) | Q(tenant=alert.tenant_id)
    return [
        row for row in AlertChannel.objects.filter(mine, enabled=True) if not row.topics or alert.kind in row.topics
    ]


def _end(alert: Alert, moment: datetime) -> None:
    """Who was told that it began is told that it is over; who was not yet told need not be."""
    alert.over_at = moment
    alert.save(update_fields=["over_at"])
    alert.messages.filter(event=Event.BEGAN, sent_at=None).update(next_try_at=None, problem="It was over before.")
    for told in alert.messages.filter(event=Event.BEGAN).exclude(sent_at=None):
        AlertMessage.objects.create(
            channel=told.channel, alert=alert, event=Event.OVER, next_try_at=moment, created_at=moment
        )


def deliver(now: float) -> int:
    """Sends what is due; how many messages went out. A message is claimed first, so that two workers send it once."""
    moment, sent = datetime.fromtimestamp(now, UTC), 0
    due = AlertMessage.objects.filter(next_try_at__lte=moment, channel__enabled=True).order_by("next_try_at")
    for row in due.select_related("channel__tenant", "alert__tenant")[:200]:
        mine = AlertMessage.objects.filter(pk=row.pk, next_try_at=row.next_try_at)
        if mine.update(next_try_at=moment + CLAIM):
            sent += _try(row, moment)
    return sent


def _try(row: AlertMessage, moment: datetime) -> bool:
    try:
        send(row.channel, payload(row))
    except NotSent as error:
        wait = wait_s(row.tries + 1)
        row.tries += 1
        row.problem = str(error)[:200]
        row.next_try_at = None if wait is None else moment + timedelta(seconds=wait)
        log.warning("an alert was not sent: %s", error, extra={"channel": str(row.channel_id), "tries": row.tries})
    else:
        row.tries, row.problem, row.next_try_at, row.sent_at = row.tries + 1, "", None, moment
    row.save(update_fields=["tries", "problem", "next_try_at", "sent_at"])
    return row.sent_at is not None


def send_test(channel: AlertChannel, now: float) -> str:
    """Sends one at once; why it was not sent, or nothing."""
    moment = datetime.fromtimestamp(now, UTC)
    row = AlertMessage.objects.create(channel=channel, event=Event.TEST, next_try_at=None, created_at=moment)
    _try(row, moment)
    AlertMessage.objects.filter(pk=row.pk).update(next_try_at=None)
    record(
        action=AuditEntry.Action.TESTED,
        object="alerts_alertchannel",
        name=channel.name,
        tenant=channel.tenant,
        outcome=row.problem or "sent",
    )
    return row.problem


def payload(row: AlertMessage) -> dict[str, Any]:
    """What a webhook receives. ``id`` is the same however often a message is tried."""
    alert, channel = row.alert, row.channel
    whose = alert.tenant if alert else channel.tenant
    return {
        "id": f"msg-{row.pk}",
        "event": row.event,
        "at": row.created_at.isoformat(timespec="seconds"),
        "tenant": whose.slug if whose else None,
        "alert": f"alert-{alert.pk}" if alert else None,
        "topic": alert.kind if alert else None,
        "title": alert.title if alert else f"A test of the channel {channel.name}",
        "detail": alert.detail if alert else "Alerts will arrive like this.",
        "began_at": alert.began_at.isoformat(timespec="seconds") if alert else None,
        "over_at": alert.over_at.isoformat(timespec="seconds") if alert and alert.over_at else None,
    }
