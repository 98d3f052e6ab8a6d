"""Whatever a client sends: an error in OpenAI's shape that names the field, never a 500, and a trace of the caller."""

import socket
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from django.utils import timezone

from routing.tests.stage import SEMANTIC, Stage
from routing.tests.upstream import says
from tenants.models import ApiKey
from tenants.services import revoke_api_key

HELLO = [{"role": "user", "content": "hello"}]
DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"model": 7}, "model"),
    ({"model": ""}, "model"),
    ({"model": ["mock"]}, "model"),
    ({"messages": None}, "messages"),
    ({"messages": []}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": ["hello"]}, "messages[0]"),
    ({"messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
    ({"messages": [{"content": "x"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {"a": 1}}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content"),
    ({"user": "a\0b"}, "user"),
    ({"stream": "yes"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"stream_options": {}}, "stream_options"),
    ({"stream": True, "stream_options": []}, "stream_options"),
    ({"temperature": "hot"}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"temperature": -1}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": -5}, "max_tokens"),
    ({"max_tokens": 1.5}, "max_tokens"),
    ({"max_tokens": 10**12}, "max_tokens"),
    ({"max_tokens": 2**63}, "max_tokens"),
    ({"max_completion_tokens": "many"}, "max_completion_tokens"),
    ({"n": 0}, "n"),
    ({"n": True}, "n"),
    ({"metadata": "x"}, "metadata"),
    ({"metadata": {"a": 1}}, "metadata"),
    ({"tools": "hammer"}, "tools"),
    ({"tools": [7]}, "tools"),
    ({"response_format": 7}, "response_format"),
    ({"stop": {"a": 1}}, "stop"),
    ({"seed": "x"}, "seed"),
    ({"messages": [*HELLO, {"role": "assistant", "tool_calls": "x"}]}, "messages[1].tool_calls"),
]
UNREADABLE = {
    "nothing": b"",
    "no json": b"{nope",
    "a list": b"[]",
    "a text": b'"hello"',
    "null": b"null",
    "cut off": b'{"model": "mock", "messages": [',
    "not utf-8": b'{"model": "\xff\xfe", "messages": []}',
    "a lone surrogate": b'{"model": "mock", "messages": [{"role": "user", "content": "\\ud800"}]}',
    "NaN": b'{"model": "mock", "temperature": NaN}',
    "nested too deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "lists too deep": b'{"model": "mock", "x": ' + b"[" * 100_000,
}
# Strange, but nothing that Relay has to understand: the provider may decide.
STRANGE: list[dict[str, Any]] = [
    {"seed": 2**64 - 1},
    {"tools": [{"a": None}]},
    {"tool_choice": {"a": None}},
    {"response_format": {"type": 7}},
    {"n": None, "temperature": None, "stream": None, "max_tokens": None},
    {"unknown": DEEP},
    {"messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [{}]}, *HELLO]},
    {"messages": [{"role": "user", "content": []}]},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 7}}]}]},
    {"messages": [{"role": "user", "content": "😀\u202e\ufeff" * 50}]},
]


@pytest.fixture(scope="module")
def model(stage: Stage) -> str:
    return stage.route(says("fine"))


@pytest.fixture(scope="module")
def cached_model(stage: Stage) -> str:
    """Every cache looks at what is sent here."""
    return stage.route(says("fine"), policy=SEMANTIC.replace("exact: false", "exact: true"))


def _refused(answer: Any, status: int, param: str | None = None, code: str | None = None) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert code is None or error["code"] == code
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("wrong", "param"), WRONG, ids=lambda value: str(value)[:40].replace("\0", "NUL"))
def test_a_wrong_field_is_named(base: str, stage: Stage, model: str, wrong: dict[str, Any], param: str) -> None:
    _refused(stage.ask(base, **{"model": model, **wrong}), 400, param)


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused_and_recorded(base: str, stage: Stage, raw: bytes) -> None:
    answer = _send(stage, base, raw)
    _refused(answer, 400)
    trace = stage.trace(answer)
    assert (trace.outcome, trace.status) == ("rejected", 400)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda value: str(value)[:40])
def test_what_is_only_strange_is_passed_on(base: str, stage: Stage, cached_model: str, strange: dict[str, Any]) -> None:
    answer = stage.ask(base, **{"model": cached_model, "headers": {"x-relay-cache": "no-store"}, **strange})
    assert answer.status_code == 200, answer.text
    assert stage.trace(answer).outcome == "ok"


@pytest.mark.parametrize(
    "model_name", ["no-such-model", "../etc", "mock'; --", "x" * 5000, "mock\r\nX-Evil: 1", "ﬀ", "mock "]
)
def test_an_unknown_model_is_not_found(base: str, stage: Stage, model_name: str) -> None:
    answer = stage.ask(base, model_name)
    _refused(answer, 404, "model", "model_not_found")
    assert "x-evil" not in answer.headers
    assert stage.trace(answer).status == 404


@pytest.mark.parametrize("header", ["x-relay-cache", "x-relay-metadata"])
@pytest.mark.parametrize("value", ["sometimes", "max-age=-1", "max-age=" + "9" * 30, "a=b," * 17 + "c"])
def test_wrong_headers_are_named(base: str, stage: Stage, model: str, header: str, value: str) -> None:
    answer = stage.ask(base, model, headers={header: value})
    if (header, value.count("=")) != ("x-relay-metadata", 1):  # there, max-age=-1 is a pair like any other
        _refused(answer, 400, header)


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Basic abc", "Bearer sk-relay-", "Bearer sk-relay-x_y", "sk-relay-a_b", "Bearer " + "x" * 9000],
)
def test_a_wrong_key_is_refused(base: str, stage: Stage, model: str, sent: str) -> None:
    answer = stage.ask(base, model, headers={"Authorization": sent})
    _refused(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "x-relay-trace-id" not in answer.headers


def test_a_key_with_a_changed_letter_is_refused(base: str, stage: Stage, model: str) -> None:
    key = stage.key()
    for position in (10, len(key) // 2, len(key) - 1):
        changed = key[:position] + ("A" if key[position] != "A" else "B") + key[position + 1 :]
        _refused(stage.ask(base, model, key=changed), 401)


def test_an_expired_key_is_refused(base: str, stage: Stage, model: str) -> None:
    row, key = stage.new_key()
    ApiKey.objects.filter(pk=row.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    stage.in_both(lambda at: stage.ask(at, model, key=key).status_code == 401)
    answer = stage.ask(base, model, key=key)
    _refused(answer, 401, code="invalid_api_key")
    assert "expired" in answer.json()["error"]["message"]


def test_a_revoked_key_is_dead_within_a_second(stage: Stage, model: str) -> None:
    row, key = stage.new_key()
    revoke_api_key(key=row)
    stage.in_both(lambda at: stage.ask(at, model, key=key).status_code == 401, within_s=10)


@pytest.mark.parametrize("named", ["globex", "nobody", "ACME", "default"])
def test_another_tenants_name_is_forbidden(base: str, stage: Stage, model: str, tenant_b: Any, named: str) -> None:
    _refused(stage.ask(base, model, headers={"X-Tenant-Id": named}), 403, "X-Tenant-Id")
    assert stage.ask(base, model, headers={"X-Tenant-Id": "acme"}).status_code == 200


def test_ten_megabytes_are_too_much(base: str, stage: Stage, model: str) -> None:
    answer = stage.ask(base, model, "x" * 10_000_000)
    _refused(answer, 413, code="body_too_large")
    assert stage.trace(answer).status == 413


def test_ten_megabytes_without_a_length_are_too_much(base: str, stage: Stage) -> None:
    answer = stage.http.post(
        f"{base}/v1/chat/completions",
        content=(b"x" * 100_000 for _ in range(100)),
        headers={"Authorization": f"Bearer {stage.key()}"},
    )
    _refused(answer, 413, code="body_too_large")


def test_get_is_not_allowed(base: str, stage: Stage) -> None:
    answer = stage.http.get(f"{base}/v1/chat/completions", headers={"Authorization": f"Bearer {stage.key()}"})
    assert answer.status_code == 405
    error = answer.json()["error"]
    assert (error["code"], error["message"], answer.headers["allow"]) == (
        "method_not_allowed",
        "Use POST.",
        "POST, OPTIONS",
    )


def test_what_is_only_read_says_so(base: str, stage: Stage) -> None:
    answer = stage.http.post(f"{base}/v1/models", json={}, headers={"Authorization": f"Bearer {stage.key()}"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (405, "Use GET, HEAD.")


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/models/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_nowhere_is_not_found_whatever_the_method(base: str, stage: Stage, path: str, method: str) -> None:
    _refused(stage.http.request(method, base + path), 404, code="not_found")


def test_the_documents_are_only_read(base: str, stage: Stage) -> None:
    assert stage.http.options(f"{base}/api/docs").status_code == 405
    assert stage.http.get(f"{base}/api/docs").status_code == 200


@pytest.mark.parametrize("declared", [b"-1", b"1e3", b"5, 6"])
def test_a_false_length_is_refused_by_the_server(base: str, declared: bytes) -> None:
    address = urlsplit(base)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: " + declared + b"\r\n\r\nhello"
    with socket.create_connection((address.hostname, address.port), timeout=5) as client:
        client.sendall(head)
        assert b" 400 " in client.recv(1000)


def _send(stage: Stage, base: str, raw: bytes) -> Any:
    headers = {"Authorization": f"Bearer {stage.key()}", "Content-Type": "application/json"}
    return stage.http.post(f"{base}/v1/chat/completions", content=raw, headers=headers)


def test_numbers_too_large_for_json_readers_do_not_break_anything(base: str, stage: Stage, model: str) -> None:
    raw = orjson.dumps({"model": model, "messages": HELLO})[:-1] + b', "seed": ' + b"9" * 400 + b"}"
    answer = _send(stage, base, raw)
    assert answer.status_code in (200, 400)
    assert stage.trace(answer).status == answer.status_code
