import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.management import CommandError, call_command

from relay_project.embedded.ports import free_port


class FakeOllama(BaseHTTPRequestHandler):
    """Replies as Ollama's documentation gives them."""

    def do_GET(self) -> None:
        self.reply({"models": [{"model": "llama3.2:1b", "name": "llama3.2:1b", "size": 1321098329}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["model"] == "no-such":
            self.reply({"error": "pull model manifest: file does not exist"})
        else:
            self.reply({"status": "pulling 8daa9615cce3", "total": 100, "completed": 50}, {"status": "success"})

    def reply(self, *documents: object) -> None:
        body = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def host() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeOllama)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_the_models_are_listed(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ollama_models", "list", host=host)
    assert capsys.readouterr().out.split() == ["llama3.2:1b", "1.3", "GB"]


def test_a_pull_shows_its_progress_and_the_next_step(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ollama_models", "pull", "llama3.2:1b", host=host)
    said = capsys.readouterr()
    assert "pulling 8daa9615cce3 50 %" in said.err
    assert "llama3.2:1b is here" in said.out


def test_what_goes_wrong_is_said_in_one_line(host: str) -> None:
    with pytest.raises(CommandError, match="Name the model"):
        call_command("ollama_models", "pull")
    with pytest.raises(CommandError, match="file does not exist"):
        call_command("ollama_models", "pull", "no-such", host=host)
    with pytest.raises(CommandError, match="No Ollama answers"):
        call_command("ollama_models", "list", host=f"http://127.0.0.1:{free_port()}")
