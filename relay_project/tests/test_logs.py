"""Every process logs JSON, whatever its framework would do by itself."""

import json
import os
import subprocess
import sys

SCRIPT = """
import logging, uvicorn, warnings
config = uvicorn.Config("relay_project.asgi:application", access_log=False)  # sets up its own plain handlers
config.load()  # imports Relay, as `uvicorn relay_project.asgi:application` does
from relay_project.celery import app
app.log.setup(loglevel="INFO")  # as `celery -A relay_project worker` does
for name in ("uvicorn.error", "django.request", "django.server", "django.channels.worker", "celery.worker", "relay.x"):
    logging.getLogger(name).warning("said", extra={"request_id": "req-1", "color_message": "again"})
warnings.warn_explicit("a warning", UserWarning, "somewhere.py", 1)
logging.getLogger("opentelemetry.exporter").error("each time")
assert not logging.getLogger("uvicorn.access").hasHandlers()
"""


def test_every_line_is_json_and_said_once() -> None:
    env = os.environ | {"RELAY_DEBUG": "1"}  # then Django would print lines of its own
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in (done.stdout + done.stderr).splitlines()]
    assert [(line["message"], line["request_id"]) for line in lines if line["logger"] != "py.warnings"] == [
        ("said", "req-1")
    ] * 6
    assert next(line["message"] for line in lines if line["logger"] == "py.warnings").count("a warning") == 1
    assert all({"time", "level", "logger"} <= set(line) and "color_message" not in line for line in lines)
