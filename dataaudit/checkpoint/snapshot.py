"""A value in a file, with its arrays as they lie in memory: read again, it is the same to the last bit.

Whoever can write to the file must not be able to run code by it. It is a pickle (PEP 574), read with nothing
but containers, arrays, tensors, types of columns and frozen dataclasses of this package; anything else, and a
checksum that does not fit, is a `ValueError`.

::

    magic, checksum of what follows, number of parts, their lengths, name, pickle, buffers of the arrays
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import zlib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl
import torch
from numpy.typing import NDArray

from dataaudit.features import Feature

_MAGIC: Final = b"dataaudit stage 1\n"
_ADMITTED: Final = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("scipy.sparse._csr", "csr_array"),
    (__name__, "_tensor"),
    (__name__, "_frame"),
    (__name__, "_series"),
    (__name__, "_features"),
}


class _Pickler(pickle.Pickler):
    """Writes a tensor as its array, a series as a file of Arrow, and many features as few lists."""

    def __init__(self, file: io.BytesIO, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffers.append)
        self.packed: dict[int, _Packed] = {}  # by the tuple, which stands in several places

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _Packed):
            return _features, value.lists
        if is_dataclass(value) and not isinstance(value, type) and hasattr(value, "__dict__"):
            # Its fields, without what it has worked out from them.
            state = {one.name: self._packed(getattr(value, one.name)) for one in fields(value)}
            return copyreg.__newobj__, (type(value),), state  # type: ignore[attr-defined]
        if isinstance(value, torch.Tensor):
            return _tensor, (value.detach().numpy(),)
        if isinstance(value, pl.DataFrame):
            return _frame, (pickle.PickleBuffer(value.write_ipc(None).getbuffer()),)
        if isinstance(value, pl.Series):
            return _series, (value.to_frame(),)
        return NotImplemented

    def _packed(self, value: Any) -> Any:
        if not (isinstance(value, tuple) and value and isinstance(value[0], Feature)):
            return value
        return self.packed.setdefault(id(value), _Packed(value))


class _Packed:
    """Features, field by field: a vocabulary has 100,000 of them."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        self.features = features
        self.lists = tuple([getattr(one, name) for one in features] for name in Feature.__slots__)


def _features(*lists: list[Any]) -> tuple[Feature, ...]:
    return tuple(map(Feature, *lists))


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(array)


def _frame(file: bytearray) -> pl.DataFrame:
    return pl.read_ipc(io.BytesIO(file))


def _series(frame: pl.DataFrame) -> pl.Series:
    return frame.to_series()


class _Unpickler(pickle.Unpickler):
    """Refuses whatever could do more than be."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            return super().find_class(module, name)
        if module.startswith(("dataaudit.", "polars.datatypes.")):
            kind = super().find_class(module, name)
            if isinstance(kind, type) and kind.__module__ == module and _is_plain(kind):
                return kind
        raise pickle.UnpicklingError(f"{module}.{name} is not admitted")


def _is_plain(kind: type) -> bool:
    """Whether it is a frozen dataclass, or a type of columns."""
    frozen = is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return frozen or issubclass(kind, pl.DataType)


def write_snapshot(path: Path, name: str, value: Any) -> None:
    """Write a value under a name."""
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, buffers).dump(value)
    parts: list[bytes | memoryview] = [name.encode(), stream.getbuffer()]
    parts += [buffer.raw() for buffer in buffers]
    lengths = struct.pack(f"<{len(parts) + 1}Q", len(parts), *(len(part) for part in parts))
    with path.open("wb") as file:
        file.write(_MAGIC + struct.pack("<I", _checksum([lengths, *parts])) + lengths)
        for part in parts:
            file.write(part)


def read_snapshot(path: Path, name: str) -> Any:
    """Return the value that was written under a name; raise OSError or ValueError where that cannot be."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise ValueError("another format")
        left = path.stat().st_size - file.tell() - 12
        checksum, count = struct.unpack("<IQ", file.read(12).ljust(12, b"\0"))
        if not 1 < count <= left // 8:
            raise ValueError("cut short")
        lengths = struct.unpack(f"<{count}Q", file.read(8 * count))
        if sum(lengths) != left - 8 * count:
            raise ValueError("cut short")
        parts = [bytearray(length) for length in lengths]
        for part in parts:
            file.readinto(part)
    if _checksum([struct.pack(f"<{count + 1}Q", count, *lengths), *parts]) != checksum:
        raise ValueError("its checksum does not fit")
    if parts[0] != name.encode():
        raise ValueError("another stage")
    try:
        return _Unpickler(io.BytesIO(parts[1]), buffers=parts[2:]).load()
    except Exception as error:  # whatever the bytes of a pickle lead to
        raise ValueError(str(error)) from error


def _checksum(parts: Iterable[bytes | bytearray | memoryview]) -> int:
    checksum = 0
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return checksum
