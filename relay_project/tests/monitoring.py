"""What the tests of deploy/prometheus and deploy/grafana share: the queries, and a Prometheus that answers them."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import redis
import yaml
from django.conf import settings

from relay_project.embedded.ports import free_port
from relay_project.embedded.processes import Program, spawn, stop, wait_until
from relay_project.embedded.state import CHECKOUT
from routing.candidates import limits_of_all
from traces.rebuild import rebuild

PROMETHEUS = CHECKOUT / "deploy" / "prometheus"
GRAFANA = CHECKOUT / "deploy" / "grafana"
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}
RULES = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
BACKENDS = {path.stem: path.read_text() for path in (CHECKOUT / "relay_project/tests/recorded").glob("*.txt")}
SCRAPES, RATES = "3s", "60s"  # every; over
COUNTER = re.compile(r"^([\w:]+_(?:total|bucket|sum|count)(?:\{[^}]*\})?) (\S+)$", re.MULTILINE)


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """By panel and letter, as Grafana would send them with everything chosen."""
    said = {f"{panel['title']} {one['refId']}": one["expr"] for panel in panels(dashboard) for one in panel["targets"]}
    return {name: _with_everything(expr) for name, expr in said.items()}


class Backends:
    """Model servers as they look to Prometheus; each time they are asked, their counters are further on."""

    def __init__(self) -> None:
        asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                nonlocal asked
                asked += 1
                text = BACKENDS[self.path.strip("/")]
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(COUNTER.sub(lambda one: f"{one[1]} {float(one[2]) * asked}", text).encode())

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def configured(directory: Path, relay: str, backends: str, token: str) -> Path:
    """The deployed configuration, with these addresses. A scrape may take as long as the time between two, so that is
    short but leaves room for a busy machine and the many limits and series that other tests have made."""
    shutil.copytree(PROMETHEUS, directory, dirs_exist_ok=True)
    (directory / "token").write_text(token)
    config = yaml.safe_load((directory / "prometheus.yml").read_text())
    config["global"] = dict.fromkeys(config["global"], SCRAPES)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    jobs["relay"]["authorization"]["credentials_file"] = str(directory / "token")
    jobs["relay"]["static_configs"] = [{"targets": [relay]}]
    for name in BACKENDS:
        [[file]] = [one["files"] for one in jobs[name]["file_sd_configs"]]
        target = {"targets": [backends], "labels": {"__metrics_path__": f"/{name}", "model_name": "llama-1b"}}
        (directory / file).write_text(yaml.safe_dump([target]))
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    return path


@contextmanager
def prometheus(binary: str, config: Path) -> Iterator[str]:
    """Its address, once it answers."""
    address = f"127.0.0.1:{free_port()}"
    options = (f"--config.file={config}", f"--storage.tsdb.path={config.parent / 'data'}")
    log = config.parent / "prometheus.log"
    argv = (binary, *options, f"--web.listen-address={address}", "--log.level=warn")
    program = Program("prometheus", argv, log=log)
    with log.open("wb") as output:
        process = spawn(program, stdout=output.fileno())
    try:
        wait_until(lambda: _answers(f"http://{address}/-/ready"), program, process, 60)
        yield f"http://{address}"
    finally:
        stop(program, process, 10)


def open_counters() -> None:
    """What is used of limits is known only once a process has made the counters; this one does. It takes a thread, as
    a rebuild closes its connection."""
    limits = list(limits_of_all())
    with closing(redis.Redis.from_url(settings.REDIS_URL)) as client, ThreadPoolExecutor(1) as thread:
        thread.submit(rebuild, client, limits, grace_s=0).result()


def _with_everything(expr: str) -> str:
    return expr.replace("$__rate_interval", RATES).replace("$route", ".*").replace("$tenant", ".*")


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.TransportError:
        return False
