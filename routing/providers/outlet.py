"""The one way out to providers. The address that is checked is the address that is connected to, so neither a name that
resolves to something else later nor a number in disguise reaches a server beside Relay.

Providers that may be private have connections of their own: a pooled connection never serves a provider that might not
have opened it.
"""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from routing.core.addresses import refusal
from routing.providers.base import Target


class AddressRefused(OSError):
    """Always the same text: aiohappyeyeballs keeps the type only if all addresses failed with one."""

    def __init__(self) -> None:
        super().__init__("address refused")


class Outlet:
    """``resolver`` None: the system's."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._public, self._private = _session(False, resolver), _session(True, resolver)

    def to(self, target: Target) -> aiohttp.ClientSession:
        return self.session(target.allow_private)

    def session(self, allow_private: bool) -> aiohttp.ClientSession:
        return self._private if allow_private else self._public

    async def aclose(self) -> None:
        await self._public.close()
        await self._private.close()


def _session(allow_private: bool, resolver: AbstractResolver | None) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=30, resolver=resolver, socket_factory=_sockets(allow_private)
    )
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=True,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),  # what one credential was told must not come along with another
    )


def _sockets(allow_private: bool) -> Callable[[Any], socket.socket]:
    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, where = info
        try:
            why = refusal(ip_address(where[0]), allow_private=allow_private)
        except ValueError:  # aiohttp hands on numbers that only the system reads as addresses, like 127.1
            why = "is not written as an address"
        if why:
            raise AddressRefused
        return socket.socket(family, kind, protocol)

    return make
