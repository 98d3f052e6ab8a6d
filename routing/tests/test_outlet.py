"""Where providers lead Relay: real servers on loopback, names answered by a resolver that lies."""

import dataclasses
import socket
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from routing.providers.base import ProviderError, Target
from routing.providers.openai_compatible import OpenAICompatible
from routing.providers.outlet import Outlet
from routing.tests.model_server import ModelServer, collect, serving

PAYLOAD = {"model": "model-x", "messages": [{"role": "user", "content": "Hello"}]}
ANSWER = {"id": "1", "choices": [{"index": 0, "message": {"content": "Hi"}}]}


class Names(AbstractResolver):
    """Each look-up gives the next list of addresses; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


async def ask(outlet: Outlet, target: Target) -> list[Any]:
    return await collect(OpenAICompatible(outlet), target, PAYLOAD, stream=False)


async def refused(outlet: Outlet, target: Target) -> ProviderError:
    with pytest.raises(ProviderError) as failed:
        await ask(outlet, target)
    assert "sk-secret" not in f"{failed.value} {failed.value.__cause__!r}"
    return failed.value


def named(target: Target, host: str = "models.example.test", **changes: Any) -> Target:
    """The same server under a name that only our resolver knows."""
    url = f"http://{host}:{urlsplit(target.base_url).port}"
    return dataclasses.replace(target, base_url=url, credential="sk-secret", **changes)


async def test_a_name_that_leads_to_loopback_is_refused_and_sees_no_credential() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    async with serving(server) as (_, target), aclosing(Outlet(Names(["127.0.0.1"]))) as outlet:
        error = await refused(outlet, named(target, allow_private=False))
        assert (error.code, error.retryable, str(error)) == ("address_refused", True, "Its address is not allowed.")
        assert server.sent_headers == []
        assert await ask(outlet, named(target)) == [ANSWER]


async def test_a_name_that_was_good_once_and_leads_home_later_is_refused() -> None:
    """DNS rebinding: what is looked up for the connection is what is checked."""
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with serving(server) as (_, target), aclosing(Outlet(names)) as outlet:
        assert await ask(outlet, named(target)) == [ANSWER]
        again = await refused(outlet, named(target, "other.example.test"))
        assert again.code == "address_refused"
        assert len(server.asked) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_loopback_is_recognised_in_every_spelling(host: str) -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    async with serving(server) as (outlet, target):
        error = await refused(outlet, named(target, host, allow_private=False))
    assert error.code in ("address_refused", "connection_failed")  # some resolvers know no such spelling
    assert server.sent_headers == []


async def test_metadata_is_refused_even_where_private_is_allowed() -> None:
    async with aclosing(Outlet()) as outlet:
        target = Target("d", "p", "kind", "m", "http://169.254.169.254", credential="sk-secret", allow_private=True)
        assert (await refused(outlet, target)).code == "address_refused"


async def test_of_several_addresses_only_allowed_ones_are_connected_to() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    names = Names(["169.254.169.254", "fe80::1", "127.0.0.1"])
    async with serving(server) as (_, target), aclosing(Outlet(names)) as outlet:
        assert await ask(outlet, named(target)) == [ANSWER]
    async with aclosing(Outlet(Names(["169.254.169.254", "10.0.0.1", "fe80::1"]))) as outlet:
        assert (await refused(outlet, named(target, allow_private=False))).code == "address_refused"


async def test_a_kept_connection_serves_only_those_who_might_have_opened_it() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)])
    async with serving(server) as (outlet, target):
        assert await ask(outlet, target) == [ANSWER]
        assert (await refused(outlet, dataclasses.replace(target, allow_private=False))).code == "address_refused"
    assert len(server.asked) == 1


async def test_a_redirect_to_the_metadata_service_is_an_error() -> None:
    server = ModelServer(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
    async with serving(server, credential="sk-secret") as (outlet, target):
        assert (await refused(outlet, target)).code == "http_302"


async def test_what_a_provider_wants_remembered_does_not_come_along_with_another_credential() -> None:
    server = ModelServer(parts=[orjson.dumps(ANSWER)], headers={"Set-Cookie": "session=of-the-first; Path=/"})
    async with serving(server) as (outlet, target):
        await ask(outlet, named(target, "localhost", allow_private=True))
        await ask(outlet, named(target, "localhost", allow_private=True))
    assert all("Cookie" not in headers for headers in server.sent_headers)
