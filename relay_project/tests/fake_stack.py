"""`make dev` with the real databases, and in place of Relay one small web server: fast enough for tests."""

import sys
from collections.abc import Mapping
from pathlib import Path

from relay_project.embedded.dev import main
from relay_project.embedded.processes import Program
from relay_project.embedded.stack import Stack, Task, variables

WEB = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def fake_stack(
    directory: Path, ports: Mapping[str, int], secrets: Mapping[str, str], environ: Mapping[str, str]
) -> Stack:
    web = Program("web", (sys.executable, "-S", "-c", WEB, str(ports["PORT"])))
    task = Task(Program("migrate", ("true",)), "Migrating the database", "Database migrated")
    return Stack(directory, ports, secrets, variables(ports, secrets, environ), [task], [web])


if __name__ == "__main__":
    sys.exit(main(fake_stack))
