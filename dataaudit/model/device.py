"""Dense rows on a GPU: what is computed of blocks of rows goes there, what comes of it comes back.

A model's formulas are functions of parameters and a block (`functools.partial`). `placed` moves both to a
device, calls the function there, and brings the result back to this machine's memory, where everything else
stays. On ``cpu`` nothing moves, and the same lines run. Rows stay on the device as long as they are in use,
if it has room for them twice; else each pass brings them again, block by block. All is float64 as elsewhere;
float32 are only products whose residual is looked at in float64 (`solvers.classes`). Sparse rows stay here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from dataaudit.errors import SettingError

CPU: Final = "cpu"
ROOM: Final = 2  # times that rows fit into what is free of a device, so that they stay there

_resident = WeakIdKeyDictionary()  # rows → the same rows on a device, for as long as they live here


def require_device(name: str) -> str:
    """Refuse a device that this machine does not have."""
    if name == CPU:
        return name
    if not torch.cuda.is_available():
        built = "is built without CUDA" if torch.version.cuda is None else "finds no NVIDIA GPU"
        hint = "leave the device out, or install torch for CUDA on a machine with a GPU"
        raise SettingError(f"there is no device {name}: torch {torch.__version__} {built}", hint)
    count = torch.cuda.device_count()
    if (torch.device(name).index or 0) >= count:
        raise SettingError(f"there is no device {name}: this machine has {count}", "name cuda:0")
    return name


def placed(function: Callable[..., Tensor], device: str) -> Callable[..., Tensor]:
    """Return a function whose tensors are moved to a device, as are those that it is called with."""
    there = partial(_moved, device)
    if isinstance(function, partial):
        function = partial(function.func, *map(there, function.args), **function.keywords)
    return lambda *given: function(*map(there, given)).to(CPU)


def _moved(device: str, value: Any) -> Any:
    """Return a tensor, or what is made of some, on a device."""
    return value.to(device) if hasattr(value, "to") else value


def resident(X: Tensor, device: str) -> Tensor:
    """Return rows on a device, once moved for as long as they are in use; here where it has no room."""
    if device == CPU:
        return X
    if X not in _resident:
        free, _ = torch.cuda.mem_get_info(device)
        if ROOM * X.numel() * X.element_size() > free:
            return X
        _resident[X] = X.to(device)
    return _resident[X]  # type: ignore[no-any-return]
