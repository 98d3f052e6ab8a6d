"""Which addresses a provider may have."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.core.addresses import refusal, refusal_of_url

NEVER = [
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200",
    "192.0.0.192", "168.63.129.16", "224.0.0.1", "ff02::1", "0.0.0.0", "0.1.2.3", "::", "240.0.0.1", "255.255.255.255",
    "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1",
    "2001:0:a9fe:a9fe::1", "::169.254.169.254",
]  # fmt: skip
PRIVATE = [
    "127.0.0.1", "127.255.0.9", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fc00::1", "fd12::1",
    "fec0::1", "192.0.2.1", "198.18.0.1", "2001:db8::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:0a00:0001::1",
    "::ffff:127.0.0.1", "::127.0.0.1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:0808:0808::1"]


@pytest.mark.parametrize("text", NEVER)
def test_these_are_refused_whatever_a_provider_may(text: str) -> None:
    assert refusal(ip_address(text), allow_private=True)
    assert refusal(ip_address(text), allow_private=False)


@pytest.mark.parametrize("text", PRIVATE)
def test_these_are_for_providers_that_may_be_private(text: str) -> None:
    assert refusal(ip_address(text), allow_private=True) == ""
    assert refusal(ip_address(text), allow_private=False) == "is not on the public internet"


@pytest.mark.parametrize("text", PUBLIC)
def test_these_are_for_all(text: str) -> None:
    assert refusal(ip_address(text), allow_private=False) == ""


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_hides_in_no_ipv6_address(inner: IPv4Address) -> None:
    number = int(inner)
    forms = [
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
    ]
    if refusal(inner, allow_private=False):
        assert all(refusal(form, allow_private=False) for form in forms)
    if refusal(inner, allow_private=True):
        assert all(refusal(form, allow_private=True) for form in forms)


@given(st.ip_addresses())
def test_what_may_be_private_is_never_stricter(address: IPv4Address | IPv6Address) -> None:
    if refusal(address, allow_private=True):
        assert refusal(address, allow_private=False)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("ftp://api.example.com", "http://"),
        ("file:///etc/passwd", "http://"),
        ("//api.example.com", "http://"),
        ("https://user:secret@api.example.com", "credential"),
        ("https://api.example.com@169.254.169.254/", "credential"),
        ("https://", "host name"),
        ("https://[::1", "valid"),
        ("https://api.example.com:99999", "valid"),
        ("https://api.example.com:0", "Port 0"),
        ("https://①②⑦.⓪.⓪.①/v1", "ASCII"),
        ("https://api.example.com\\@evil", "credential"),
        ("https://api.example.com/a b", "blanks"),
        ("https://api.example.com/v1?x=1", "path"),
        ("https://api.example.com/v1#x", "path"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://0x7f000001/", "four decimal numbers"),
        ("http://0x7f.1/", "four decimal numbers"),
        ("http://0177.0.0.1/", "four decimal numbers"),
        ("http://127.1/", "four decimal numbers"),
        ("http://127.0.0.1./", "four decimal numbers"),
        ("http://0x/", "four decimal numbers"),
        ("http://127.0.0.1:8080/v1", "not on the public internet"),
        ("http://[::ffff:127.0.0.1]/", "not on the public internet"),
        ("http://169.254.169.254/latest/meta-data", "link-local"),
        ("http://[fd00:ec2::254]/", "metadata"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_with_a_reason(url: str, word: str) -> None:
    assert word in refusal_of_url(url, allow_private=False)


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "https://api.example.com.:8443/v1", "http://8.8.8.8/x0"])
def test_a_usual_address_is_fine(url: str) -> None:
    assert refusal_of_url(url, allow_private=False) == ""


@pytest.mark.parametrize("url", ["http://127.0.0.1:11434", "http://[::1]:8000/v1", "http://10.0.0.7/v1"])
def test_a_server_of_ones_own_is_fine_where_private_is_allowed(url: str) -> None:
    assert refusal_of_url(url, allow_private=True) == ""
