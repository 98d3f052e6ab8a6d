import asyncio

import numpy as np
import pytest

from caching import embedders
from caching.embedders import Embedder, embedder


def test_alike_questions_lie_close_and_others_far() -> None:
    vectors = embedder().embed(
        ["How do I reset my password?", "How can I reset my password?", "What is the capital of Peru?"]
    )
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    alike, other = vectors[1:] @ vectors[0]
    assert alike > 0.97
    assert other < 0.2


def test_the_vectors_are_those_of_onnx_runtime() -> None:
    """First components from ONNX Runtime 1.31 on the same file."""
    vectors = embedder().embed(["Explain what an API gateway does in 2 lines.", ""])
    assert vectors[0, :4] == pytest.approx([-0.060907, 0.015494, -0.044703, 0.011362], abs=1e-5)
    assert vectors[1, :4] == pytest.approx([-0.127353, 0.040874, -0.001428, -0.015986], abs=1e-5)
    assert embedder().embed([]).shape == (0, 384)


async def test_embedding_leaves_the_event_loop_free() -> None:
    turns = 0
    work = asyncio.ensure_future(embedder().embed_text("word " * 200))
    while not work.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 3
    assert work.result() is not None


async def test_a_text_that_would_be_cut_gets_no_vector() -> None:
    assert await embedder().embed_text("word " * 254) is not None
    assert await embedder().embed_text("word " * 255) is None


async def test_too_many_waiting_texts_are_sent_on_without_one() -> None:
    vectors = await asyncio.gather(*(embedder().embed_text("tea", patience_s=0.05) for _ in range(30)))
    assert vectors[0] is not None, "nothing stood before it"
    assert vectors[-1] is None, "29 texts take longer than a lookup may wait"
    assert await embedder().embed_text("tea") is not None


def test_a_missing_model_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedders, "_MODEL_PACKAGE", "no_such_model")
    with pytest.raises(FileNotFoundError, match="pip install no-such-model"):
        Embedder().embed(["tea"])
