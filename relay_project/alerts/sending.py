"""One message on its way out: a signed POST, or a mail. One error, whose words hold no address."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson
from django.conf import settings
from django.core.mail import EmailMessage

from relay_project.alerts.core.signing import signature
from relay_project.alerts.models import AlertChannel, Destination
from routing.providers.outlet import AddressRefused, Outlet
from routing.sealing import CannotOpen

TIMEOUT_S = 10.0


class NotSent(Exception):
    """The reason, as a sentence without address or secret."""


def send(channel: AlertChannel, message: Mapping[str, Any]) -> None:
    """Raises NotSent. Waits up to ten seconds; never on an event loop."""
    try:
        to = channel.open()
    except CannotOpen as error:
        raise NotSent("Its address cannot be opened: enter it again.") from error
    if channel.kind == AlertChannel.Kind.MAIL:
        _mail(to, message)
    else:
        asyncio.run(_post(to, orjson.dumps(message), allow_private=channel.allow_private))


async def _post(to: Destination, body: bytes, *, allow_private: bool) -> None:
    """No redirect is followed, and the address that is checked is the one that is connected to."""
    outlet = Outlet()
    headers = {
        "content-type": "application/json",
        "user-agent": "Relay",
        "x-relay-signature": signature(to.secret, body, int(time.time())),
    }
    try:
        async with outlet.session(allow_private).post(
            to.address,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        ) as answer:
            status = answer.status
    except TimeoutError:
        raise NotSent(f"No answer within {TIMEOUT_S:.0f} s.") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NotSent(_why(error)) from None
    finally:
        await outlet.aclose()
    if not 200 <= status < 300:
        raise NotSent(f"It answered {status}.")


def _why(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return "Its address is not on the public internet."
        cause = getattr(cause, "os_error", None) or cause.__cause__
    return "It could not be reached."


def _mail(to: Destination, message: Mapping[str, Any]) -> None:
    lines = [message["title"], "", message["detail"], "", f"Tenant: {message['tenant'] or 'platform'}", message["at"]]
    mail = EmailMessage(
        subject=f"[Relay] {message['event']}: {message['title']}"[:200],
        body="\n".join(lines),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[address.strip() for address in to.address.split(",")],
    )
    try:
        mail.send()
    except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
        raise NotSent(f"The mail server did not take it ({type(error).__name__}).") from None
