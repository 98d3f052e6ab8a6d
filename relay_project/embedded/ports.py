"""The ports `make dev` listens on, all on 127.0.0.1: an environment variable for each."""

import random
import socket
import time
from collections.abc import Iterable, Mapping

HOST = "127.0.0.1"
DEFAULTS = {"PORT": 8000, "RELAY_PG_PORT": 54329, "RELAY_REDIS_PORT": 63790, "RELAY_LLM_PORT": 18081}
POLL_SECONDS = 0.1


class PortError(Exception):
    """A port can't be used; the message names it and the variable to change."""


def choose(environ: Mapping[str, str], variables: Iterable[str] = DEFAULTS) -> dict[str, int]:
    ports: dict[str, int] = {}
    for variable in variables:
        text = environ.get(variable) or str(DEFAULTS[variable])
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
            raise PortError(f"{variable}={text} is not a port. Choose a number between 1 and 65535.")
        if int(text) in ports.values():
            raise PortError(f"Port {text} is chosen twice. Change {variable}.")
        ports[variable] = int(text)
    return ports


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def require_free(ports: Mapping[str, int], patience: float = 0.0) -> None:
    """`patience`: seconds to wait for servers that are just ending."""
    deadline = time.monotonic() + patience
    while taken := [variable for variable, port in ports.items() if not is_free(port)]:
        if time.monotonic() >= deadline:
            raise PortError("\n".join(_advice(variable, ports[variable]) for variable in taken))
        time.sleep(POLL_SECONDS)


def free_port() -> int:
    """One that stays free until its server is up, and while it is down: below those that outgoing connections are
    given (from 32,768 on Linux)."""
    while not is_free(port := random.randrange(20_000, 30_000)):
        pass
    return port


def _advice(variable: str, port: int) -> str:
    other = port + 1
    while not is_free(other):
        other += 1
    return f"Port {port} is in use. Choose another with {variable}, for example: {variable}={other} make dev"
