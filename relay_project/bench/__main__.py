"""`make bench`: `manage.py bench` with PostgreSQL and Valkey of its own, all on one core, so that the web process can
have the other."""

import os
import subprocess
import sys

from relay_project.bench.cores import take_core
from relay_project.embedded.state import CHECKOUT
from relay_project.embedded.throwaway import Throwaway, isolate

PRODUCTION_LIKE = {
    "RELAY_DEBUG": "0",
    "RELAY_ALLOWED_HOSTS": "127.0.0.1,localhost",
    "RELAY_SSL_REDIRECT": "0",
    "RELAY_LOG_LEVEL": "WARNING",
    "PYTHONWARNINGS": "ignore:No directory at",  # no static file is asked for, so none was collected
}


def main() -> int:
    isolate()
    take_core(1)
    servers = Throwaway()
    try:
        servers.start()
        environment = {**os.environ, **servers.environment, **PRODUCTION_LIKE}
        command = (sys.executable, "manage.py", "bench", *sys.argv[1:])
        return subprocess.run(command, env=environment, cwd=CHECKOUT, check=False).returncode
    finally:
        servers.stop()


if __name__ == "__main__":
    sys.exit(main())
