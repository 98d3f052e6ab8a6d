"""Which addresses a provider may have, so that nobody makes Relay ask the servers beside it (SSRF).

Refused always: link-local, cloud metadata, multicast, unspecified and reserved addresses. Refused unless the provider
may be private: loopback, private, shared (CGNAT), unique-local and all others that are not on the public internet.
An address that carries an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo) must pass in both forms.

Metadata services that do not live in link-local ranges: AWS fd00:ec2::254, Google fd20:ce::254, Alibaba
100.100.100.200, Oracle 192.0.0.192, Azure 168.63.129.16 (from their documentation).
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

Address = IPv4Address | IPv6Address

METADATA = frozenset(
    map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"))
)
THIS_NETWORK = ip_network("0.0.0.0/8")
NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
COMPATIBLE = ip_network("::/96")
PRIVATE = "is not on the public internet"


def refusal(address: Address, *, allow_private: bool) -> str:
    """Why the address may not be used, as the end of a sentence; empty if it may."""
    if (why := _never(address)) or (not allow_private and (why := _private(address))):
        return why
    return next((why for inner in _carried(address) if (why := refusal(inner, allow_private=allow_private))), "")


def refusal_of_url(url: str, *, allow_private: bool) -> str:
    """What is wrong with a base URL before its name is resolved, as a sentence; empty if nothing is."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not a valid address."
    host = parts.hostname or ""
    if (why := _malformed(parts, url, host)) or port == 0:
        return why or "Port 0 cannot be connected to."
    literal = _literal(host)
    if literal is None:
        looks_numeric = _is_number(host.rstrip(".").rpartition(".")[2])
        return "Write an IP address as four decimal numbers, like 192.0.2.1." if looks_numeric else ""
    why = refusal(literal, allow_private=allow_private)
    return f"{literal} {why}." if why else ""


def _malformed(parts: SplitResult, url: str, host: str) -> str:
    if parts.scheme not in ("http", "https"):
        return "It must begin with http:// or https://."
    if "@" in parts.netloc:
        return "A user name or password does not belong into the address: store a credential."
    if not host or not url.isascii() or any(char in " \\\t\r\n" or not char.isprintable() for char in url):
        return "It needs a host name of ASCII characters (xn--… for others), and no blanks or backslashes."
    if parts.query or parts.fragment:
        return "It must end with its path: no “?” and no “#”."
    return ""


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _is_number(label: str) -> bool:
    """Whether a resolver would read the last label as a number (decimal, octal, hex), as in http://2130706433/."""
    label = label.lower()
    return label.isdecimal() or (label.startswith("0x") and all(char in "0123456789abcdef" for char in label[2:]))


def _never(address: Address) -> str:
    if address in METADATA:
        return "is a metadata service of a cloud"
    if address.is_link_local:
        return "is link-local"
    if address.is_multicast:
        return "is multicast"
    if address.is_unspecified or address in THIS_NETWORK:
        return "is unspecified"
    if isinstance(address, IPv4Address) and address.is_reserved:
        return "is reserved"
    return ""


def _private(address: Address) -> str:
    """Python counts Teredo, 6to4 and NAT64 among the global ones or not depending on its version: what they carry
    decides."""
    if _carried(address):
        return ""
    if isinstance(address, IPv6Address) and address.is_site_local:
        return PRIVATE
    return "" if address.is_global else PRIVATE


def _carried(address: Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses inside an IPv6 address."""
    if isinstance(address, IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    last = int(address) & 0xFFFFFFFF
    if any(address in network for network in NAT64) or (address in COMPATIBLE and last > 1):
        return (IPv4Address(last),)
    return ()
