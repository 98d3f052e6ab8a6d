import os
import subprocess
import sys

import pytest

from relay_project.embedded.ports import free_port


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
