"""What tensors take at their most while something is computed, on any device: the meta device too, at real shapes."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """Bytes of all storages that live at once, of those that are made in it, at their most."""

    def __init__(self) -> None:
        super().__init__()
        self._live: dict[int, int] = {}
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            self._see(tensor)
        return made

    def _see(self, tensor: Any) -> None:
        storage = tensor.untyped_storage() if isinstance(tensor, torch.Tensor) else None
        if storage is not None and storage._cdata not in self._live:
            self._live[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self._live.pop, storage._cdata, None)
            self.bytes = max(self.bytes, sum(self._live.values()))
