"""The address of a provider as it is saved: read, and looked up if it is a name."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

from routing.core.addresses import refusal, refusal_of_url


def refusal_at_save(url: str, *, allow_private: bool) -> str:
    """Why a provider may not have this base URL, as a sentence; empty if it may.

    A name that cannot be resolved here and now may be saved: the look-up that counts is that of each connection
    (`routing/providers/outlet.py`). May wait for the system's resolver; never on the event loop.
    """
    if why := refusal_of_url(url, allow_private=allow_private):
        return why
    host = urlsplit(url).hostname or ""
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return ""
    for text in sorted(map(str, found)):
        if why := refusal(ip_address(text), allow_private=allow_private):
            remedy = "" if refusal(ip_address(text), allow_private=True) else " Staff may allow it: “may be private”."
            return f"{host} is {text}, which {why}.{remedy}"
    return ""
