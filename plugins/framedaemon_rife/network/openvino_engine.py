"""Convolutions by OpenVINO on the CPU: the same layers as a graph for each shape, compiled when it is first met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as ops
import torch
from torch import Tensor

from framedaemon_rife.network.layers import Block, Layer, Layers


class OpenVinoEngine:
    """An `Engine`."""

    def __init__(self, layers: Layers, threads: int) -> None:
        self._layers = layers
        self._core: Any = ov.Core()
        self._settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        self._compiled: dict[tuple[Any, ...], Any] = {}

    def head(self, frame: Tensor) -> Tensor:
        """See `Engine`."""
        return self._run(("head",), frame, lambda x: _chain(x, self._layers.head))

    def look(self, block: int, seen: Tensor, out: Tensor) -> None:
        """See `Engine`."""
        layer = self._layers.blocks[block].look
        self._run(("look", block), seen, lambda x: _convolve(x, layer, (0, 1)), out)

    def think(self, block: int, looked: Tensor) -> Tensor:
        """See `Engine`."""
        return self._run(("think", block), looked, lambda x: _think(x, self._layers.blocks[block]))

    def close(self) -> None:
        """See `Engine`."""
        self._compiled.clear()
        self._core = None

    def _run(self, what: tuple[Any, ...], x: Tensor, build: Callable[[Any], Any], out: Tensor | None = None) -> Tensor:
        key = (*what, *x.shape)
        if key not in self._compiled:
            given = ops.parameter(list(x.shape), np.float32)
            found = ops.transpose(build(ops.transpose(given, np.array([0, 3, 1, 2]))), np.array([0, 2, 3, 1]))
            model = ov.Model([found], [given], "_".join(map(str, what)))
            self._compiled[key] = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        request = self._compiled[key]
        request.set_input_tensor(ov.Tensor(x.numpy(), shared_memory=True))
        if out is not None:
            request.set_output_tensor(ov.Tensor(out.numpy(), shared_memory=True))
        request.infer()
        return out if out is not None else torch.from_numpy(request.get_output_tensor().data)


def _chain(x: Any, layers: Sequence[Layer]) -> Any:
    for layer in layers:
        x = _convolve(x, layer, (1, 1))
    return x


def _think(x: Any, block: Block) -> Any:
    kept = None
    for index, layer in enumerate(block.think):
        x = _convolve(x, layer, (1, 1))
        kept = x if index == block.adds else kept
    if kept is not None:
        x = ops.add(x, kept)
    return _convolve(x, block.answer, (1, 1))


def _convolve(x: Any, layer: Layer, padding: tuple[int, int]) -> Any:
    stride = [layer.stride, layer.stride]
    x = ops.convolution(x, layer.weight.numpy(), stride, list(padding), list(padding), [1, 1])
    x = ops.add(x, layer.bias.numpy().reshape(1, -1, 1, 1))
    if isinstance(layer.slope, float):
        return x if layer.slope == 1.0 else ops.prelu(x, np.array([layer.slope], np.float32))
    return ops.prelu(x, layer.slope.numpy())
