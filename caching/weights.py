"""Reads the tensors of an ONNX file, and no more of it. Quantised ones come as int8 with a scale for each row or the
whole. The file is mapped, not loaded: the 12 MB vocabulary table costs only the rows that are looked up."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]

_TYPES = {1: np.float32, 3: np.int8, 7: np.int64, 9: np.bool_}
# Field numbers of ONNX's protocol buffers.
_MODEL_GRAPH, _GRAPH_INITIALIZER = 7, 5
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 8, 9


def tensors(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        model = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    graphs = [value for number, value in _fields(model) if number == _MODEL_GRAPH]
    return dict(_tensor(value) for number, value in _fields(graphs[0]) if number == _GRAPH_INITIALIZER)


def _tensor(message: memoryview) -> tuple[str, Tensor]:
    fields: dict[int, Any] = {}
    shape: list[int] = []
    for number, value in _fields(message):
        if number == _TENSOR_DIMS:
            shape.append(value)
        fields[number] = value
    data = fields.get(_TENSOR_RAW, fields.get(_TENSOR_FLOATS, b""))
    return bytes(fields[_TENSOR_NAME]).decode(), np.frombuffer(data, _TYPES[fields[_TENSOR_TYPE]]).reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        if key & 7 == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size, at = (8, at) if key & 7 == 1 else (4, at) if key & 7 == 5 else _varint(message, at)
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at
