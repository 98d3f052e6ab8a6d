import os
import subprocess
import sys
from typing import Any

import httpx
import pytest
from django.core.management import call_command

from conftest import eventually, unique
from relay_project.embedded.ports import free_port
from tenants.services import create_api_key


@pytest.mark.parametrize("command", [["create_tenant", "acme"], ["demo"], ["runworker", "lanes"]])
def test_a_command_without_its_servers_says_so_in_one_line(command: list[str]) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    servers = {"DATABASE_URL": f"postgres://relay@{nowhere}/relay", "REDIS_URL": f"redis://{nowhere}/0"}
    run = subprocess.run(
        [sys.executable, "manage.py", *command],
        env=os.environ | servers,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    said = run.stderr.strip().splitlines()[-1]
    assert "does not answer" in said and "make dev" in said
    assert "Traceback" not in run.stderr


def test_runserver_serves_all_of_it_by_daphne(tenant_a: Any) -> None:
    call_command("seed", verbosity=0)
    key = create_api_key(tenant=tenant_a, name=unique("key"))[1]
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "runserver", "--noreload", str(port)], stdout=subprocess.DEVNULL
    )
    try:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            eventually(lambda: _is_ready(client))
            body = {"model": "mock", "messages": [{"role": "user", "content": "hello"}]}
            answer = client.post("/v1/chat/completions", json=body)
            streamed = client.post("/v1/chat/completions", json={**body, "stream": True})
            assert answer.json()["choices"][0]["message"]["content"]
            assert streamed.text.endswith("data: [DONE]\n\n")
            assert client.get("/admin/login/").headers["server"] == "daphne"
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_ready(client: httpx.Client) -> bool:
    """daphne has no lifespan: the first request starts Relay."""
    try:
        return client.get("/v1/readyz").status_code == 200
    except httpx.TransportError:
        return False
