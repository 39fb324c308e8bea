"""A content hash of an Arrow table: equal where types, metadata, nulls and the bits of all values are.

How a table is cut into batches, what lies under a null, and how strings are laid out do not matter. Needed
since Parquet and Arrow files with equal content differ in their bytes, and since NaN is not equal to itself.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute

_types = pa.types


def fingerprint(table: pa.Table) -> str:
    """Return the content hash of a table."""
    digest = hashlib.sha256(f"{table.num_rows}\n".encode())
    _take_schema(table.schema, digest)
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(name.encode(errors="surrogatepass") + b"\0")
        _take(_one(column), digest)
    return digest.hexdigest()


def _take_schema(schema: pa.Schema, digest: hashlib._Hash) -> None:
    digest.update(repr(sorted((schema.metadata or {}).items())).encode())
    for field in schema:
        described = (str(field.type), field.nullable, sorted((field.metadata or {}).items()))
        digest.update(repr(described).encode())


def _one(column: pa.ChunkedArray) -> pa.Array:
    """Return one array of all chunks; text as large binary, which has room for any size and no views."""
    chunks = [_flat(chunk) for chunk in column.chunks]
    if not chunks:
        return _flat(pa.array([], column.type))
    return pa.concat_arrays(chunks) if len(chunks) > 1 else chunks[0]


def _flat(array: pa.Array) -> pa.Array:
    """Return an array whose values are plain: no dictionary, no extension, no view."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _flat(array.storage)
    if _types.is_dictionary(kind):
        return _flat(array.dictionary).take(array.indices)  # text views cannot be decoded
    if _types.is_run_end_encoded(kind):
        return _flat(pa.compute.run_end_decode(array))
    text = _types.is_string(kind) or _types.is_large_string(kind) or _types.is_string_view(kind)
    if text or _types.is_binary(kind) or _types.is_binary_view(kind):
        return array.cast(pa.large_binary())
    return array


def _take(array: pa.Array, digest: hashlib._Hash) -> None:
    """Add an array: where it is null, then what the rest of it holds."""
    array = _flat(array)
    kind = array.type
    valid = array.is_valid()
    digest.update(f"{kind.id} {len(array)} {array.null_count}\n".encode())
    digest.update(np.packbits(valid.to_numpy(zero_copy_only=False)).tobytes())
    if _types.is_null(kind):
        return
    if _types.is_struct(kind):
        # `flatten` brings the nulls of the struct down to its fields.
        for field in array.flatten():
            _take(field, digest)
    elif _types.is_list(kind) or _types.is_large_list(kind):
        lengths = np.diff(array.offsets.to_numpy(zero_copy_only=False))
        digest.update(np.where(valid.to_numpy(zero_copy_only=False), lengths, 0).astype("<i8").tobytes())
        _take(array.flatten(), digest)
    elif _types.is_fixed_size_list(kind):
        _take(array.flatten(), digest)
    elif _types.is_large_binary(kind) or _types.is_fixed_size_binary(kind):
        _take_bytes(array.drop_null(), digest)
    elif _types.is_boolean(kind):
        digest.update(np.packbits(array.drop_null().to_numpy(zero_copy_only=False)).tobytes())
    elif _types.is_primitive(kind) or _types.is_decimal(kind):
        _take_fixed(array.drop_null(), kind.bit_width // 8, digest)
    else:  # maps, unions, list views: rare, and slow
        digest.update(repr(array.to_pylist()).encode())


def _take_bytes(array: pa.Array, digest: hashlib._Hash) -> None:
    if _types.is_fixed_size_binary(array.type):
        _take_fixed(array, array.type.byte_width, digest)
        return
    offsets = np.frombuffer(array.buffers()[1], np.int64, len(array) + 1, 8 * array.offset)
    digest.update(np.diff(offsets).astype("<i8").tobytes())
    data = array.buffers()[2]
    if data is not None and len(offsets):
        digest.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])


def _take_fixed(array: pa.Array, width: int, digest: hashlib._Hash) -> None:
    data = array.buffers()[1]
    if data is not None:
        digest.update(memoryview(data)[array.offset * width : (array.offset + len(array)) * width])
