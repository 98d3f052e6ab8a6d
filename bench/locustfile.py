"""What `make loadtest` sends: several tenants' keys; short, long, repeated and streaming requests.

Runs in Locust's own environment, started by `manage.py loadtest`, which hands over RELAY_LOAD_KEYS (a JSON list),
RELAY_LOAD_MODEL and RELAY_LOAD_REPORTS (a file descriptor that takes a line of JSON for each run that ended).
"""

import itertools
import json
import os
import random
import time

from locust import FastHttpUser, between, events, task

from evals.core.load import Answer, report_of

KEYS = json.loads(os.environ["RELAY_LOAD_KEYS"])
MODEL = os.environ["RELAY_LOAD_MODEL"]
REPORTS = int(os.environ["RELAY_LOAD_REPORTS"])
MOST_ANSWERS = 2_000_000  # kept of a run
REPEATED = [f"What does a gateway do? ({number})" for number in range(10)]
_users = itertools.count()
_answers: list[Answer] = []
_started = [time.time()]


class Client(FastHttpUser):
    """Each user has the key of one tenant."""

    wait_time = between(0.05, 0.3)
    network_timeout = connection_timeout = 60.0

    def on_start(self):
        self.key = KEYS[next(_users) % len(KEYS)]

    @task(6)
    def short(self):
        self.ask("short", f"ping {random.random()}", max_tokens=16)

    @task(1)
    def long(self):
        self.ask("long", f"Summarise this ({random.random()}): " + "lorem ipsum dolor " * 400, max_tokens=400)

    @task(2)
    def repeated(self):
        self.ask("repeated", random.choice(REPEATED), max_tokens=32)

    @task(2)
    def streaming(self):
        self.ask("streaming", f"Tell me a story ({random.random()}).", max_tokens=64, stream=True)

    def ask(self, name, prompt, *, stream=False, **more):
        body = {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "stream": stream, **more}
        headers = {"Authorization": f"Bearer {self.key}"}
        with self.client.post(
            "/v1/chat/completions", json=body, headers=headers, name=name, catch_response=True
        ) as answer:
            if answer.status_code != 200:
                answer.failure(kind_of(answer))
            elif stream and not (answer.text or "").endswith("data: [DONE]\n\n"):
                answer.failure("stream broke off")


def kind_of(answer):
    if not answer.status_code:
        return "connection failed"
    try:
        code = json.loads(answer.text)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        code = None
    return f"{answer.status_code} {code}" if code else str(answer.status_code)


@events.test_start.add_listener
def begin(environment, **_):
    _answers.clear()
    _started[0] = time.time()


@events.request.add_listener
def note(start_time, response_time, exception, **_):
    if len(_answers) < MOST_ANSWERS:
        came = start_time + response_time / 1000
        _answers.append(Answer(came - _started[0], response_time, str(exception) if exception else ""))


@events.test_stop.add_listener
def end(environment, **_):
    if not _answers:  # the page was closed without a run
        return
    runner, options = environment.runner, environment.parsed_options
    cut = {"figures of the first": MOST_ANSWERS} if len(_answers) == MOST_ANSWERS else {}
    told = {
        "started_at": _started[0],
        "options": {"users": runner.target_user_count, "run time": options.run_time} | cut,
        "report": report_of(_answers, time.time() - _started[0]).as_json(),
    }
    os.write(REPORTS, json.dumps(told).encode() + b"\n")
