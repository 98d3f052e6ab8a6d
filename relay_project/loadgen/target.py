"""Where a load may go: somebody must listen, and on this machine unless it is said otherwise."""

import ipaddress
import socket
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from django.core.management.base import CommandError


def check_target(url: str, *, remote: bool) -> None:
    """Raises CommandError with what to do."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CommandError("--url must look like http://127.0.0.1:8000.")
    if not remote and not _is_loopback(parts.hostname):
        raise CommandError(f"{parts.hostname} is not this machine. If you may load it, say --remote.")
    try:
        with urlopen(f"{url}/health", timeout=5):
            return
    except (URLError, OSError) as error:
        raise CommandError(f"{url} does not answer ({error}). Start Relay with `make dev`.") from error


def _is_loopback(host: str) -> bool:
    try:
        found = {item[4][0] for item in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise CommandError(f"--url: {host} is not known ({error}).") from error
    return all(ipaddress.ip_address(address).is_loopback for address in found)
