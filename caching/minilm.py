"""The forward pass of all-MiniLM-L6-v2 (a BERT of 6 layers) for one text.

In numpy and not ONNX Runtime, which unfolds the int8 weights into two copies of floats and takes 150 MB of a web
process for the same vectors.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caching.weights import Tensor, tensors

Floats = NDArray[np.float32]

LAYERS, HEADS, WIDTH = 6, 12, 384
_EPSILON = np.float32(1e-12)


@dataclass(frozen=True, slots=True)
class Linear:
    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        y: Floats = x @ self.weight + self.bias
        return y


@dataclass(frozen=True, slots=True)
class Norm:
    weight: Floats
    bias: Floats

    def __call__(self, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(-1, keepdims=True) + _EPSILON)
        y: Floats = centred / scale * self.weight + self.bias
        return y


@dataclass(frozen=True, slots=True)
class Layer:
    attend: Linear  # queries, keys and values side by side
    attended: Linear
    attended_norm: Norm
    widen: Linear
    narrow: Linear
    norm: Norm

    def __call__(self, x: Floats) -> Floats:
        queries, keys, values = self.attend(x).reshape(len(x), 3, HEADS, -1).transpose(1, 2, 0, 3)
        scores = queries @ keys.transpose(0, 2, 1) / np.float32((WIDTH / HEADS) ** 0.5)
        mixed = (_softmax(scores) @ values).transpose(1, 0, 2).reshape(x.shape)
        x = self.attended_norm(x + self.attended(mixed))
        return self.norm(x + self.narrow(_gelu(self.widen(x))))


class MiniLM:
    def __init__(self, model: Path) -> None:
        self._layers = _layers(tensors(model))
        found = tensors(model)  # mapped anew: the pages that the layers were read from are given back
        self._words, self._word_scales = _quantised(found, "inner.embeddings.word_embeddings.weight")
        positions, scales = _quantised(found, "inner.embeddings.position_embeddings.weight")
        self._places: Floats = positions * scales + found["inner.embeddings.token_type_embeddings.weight"][0]
        self._norm = _norm(found, "inner.embeddings.LayerNorm")

    def embed(self, tokens: list[int]) -> Floats:
        """The mean of the last layer over all tokens, of length 1."""
        x: Floats = self._norm(self._words[tokens] * self._word_scales[tokens] + self._places[: len(tokens)])
        for layer in self._layers:
            x = layer(x)
        mean: Floats = x.mean(0)
        return mean / np.float32(np.linalg.norm(mean))


def _layers(found: dict[str, Tensor]) -> list[Layer]:
    # The exporter numbered the matrices in the order of use: query, key, value, attended, widen, narrow.
    numbers = sorted(int(name[4:-2]) for name in found if name.startswith("val_") and name.endswith("_q"))
    names = [f"val_{number}" for number in numbers]
    return [_layer(found, number, names[6 * number : 6 * number + 6]) for number in range(LAYERS)]


def _layer(found: dict[str, Tensor], number: int, names: list[str]) -> Layer:
    at = f"inner.encoder.layer.{number}"
    weights = [np.ascontiguousarray(matrix * scale) for matrix, scale in (_quantised(found, name) for name in names)]
    biases = [found[f"{at}.attention.self.{part}.bias"] for part in ("query", "key", "value")]
    return Layer(
        attend=Linear(np.hstack(weights[:3]), np.hstack(biases)),
        attended=Linear(weights[3], found[f"{at}.attention.output.dense.bias"].copy()),
        attended_norm=_norm(found, f"{at}.attention.output.LayerNorm"),
        widen=Linear(weights[4], found[f"{at}.intermediate.dense.bias"].copy()),
        narrow=Linear(weights[5], found[f"{at}.output.dense.bias"].copy()),
        norm=_norm(found, f"{at}.output.LayerNorm"),
    )


def _quantised(found: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return found[f"{name}_q"], found[f"{name}_scale"]


def _norm(found: dict[str, Tensor], name: str) -> Norm:
    return Norm(found[f"{name}.weight"].copy(), found[f"{name}.bias"].copy())


def _softmax(x: Floats) -> Floats:
    raised = np.exp(x - x.max(-1, keepdims=True))
    shares: Floats = raised / raised.sum(-1, keepdims=True)
    return shares


def _gelu(x: Floats) -> Floats:
    """x * Phi(x), with the error function to 1.5e-7 after Abramowitz and Stegun, 7.1.26."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = (
        t
        * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
        * np.exp(-z * z)
    )
    y: Floats = np.where(x > 0, x * (1 - tail / 2), x * tail / 2)
    return y
