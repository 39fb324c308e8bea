"""Parquet and Arrow files: read whole, changed by slices, written as they were, and put back by slices.

No value is converted. A row gets a class by copying that cell of another row that has it; rows go and come
back as slices; so decimals, time zones, categories, nested and extension types pass through as they are.
"""

from __future__ import annotations

import base64
import io
import json
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from dataaudit.data.blob import ARROW_FILE, Blob
from dataaudit.data.formats.huggingface import KEY, names_in
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown
from dataaudit.repair.layout import Layout, layout_of, write_parquet
from dataaudit.repair.plan import Plan, RowChange

Parts = dict[str, str]  # which rows → an Arrow stream in base64
DROPPED, GROUPS = "dropped", "groups"  # of `Parts`; the latter has the rows of each group, as JSON
_TROUBLE = (pa.ArrowException, OSError, TypeError, OverflowError, UnicodeError)


@dataclass(frozen=True, slots=True)
class Frame:
    """A table and how its file was written."""

    table: pa.Table  # all rows, with the schema's metadata
    kind: str  # ``"parquet"``, ``"arrow file"`` or ``"arrow stream"``
    groups: tuple[int, ...]  # rows of each row group or batch
    layout: Layout | None = None  # of a Parquet file


def read_frame(blob: Blob) -> Frame:
    """Read a file whole."""
    try:
        return _read(blob)
    except _TROUBLE as error:
        first = str(error).partition("\n")[0]
        what = f"{blob.name} cannot be read whole: {first}"
        raise UnreadableFile(what, "write it again, or repair a CSV or NDJSON copy") from error


def _read(blob: Blob) -> Frame:
    source = pa.memory_map(blob.path) if blob.path else pa.BufferReader(blob.data)
    if not blob.data.startswith(b"PAR1"):
        is_file = blob.data.startswith(ARROW_FILE)
        reader = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
        table = reader.read_all()
        chunks = table.column(0).chunks if table.num_columns else []
        return Frame(table, "arrow file" if is_file else "arrow stream", tuple(map(len, chunks)))
    file = pq.ParquetFile(source)
    meta = file.metadata
    groups = tuple(meta.row_group(i).num_rows for i in range(meta.num_row_groups))

    def read(start: int, count: int) -> bytes:
        source.seek(start)
        return bytes(source.read(count))

    table = file.read()
    return Frame(table, "parquet", groups, layout_of(meta, read))


def frame_bytes(frame: Frame, *, changed: Sequence[str] = ()) -> bytes:
    """Return the file; in a Parquet file some columns may have `changed`."""
    try:
        if frame.layout is not None:
            return write_parquet(frame.table, frame.layout, groups=frame.groups, changed=changed)
        out = io.BytesIO()
        opened = pa.ipc.new_file if frame.kind == "arrow file" else pa.ipc.new_stream
        with opened(out, frame.table.schema) as writer:
            table, start = frame.table.combine_chunks(), 0  # which gives its batches one dictionary
            for rows in frame.groups:
                writer.write_table(table.slice(start, rows))
                start += rows
    except _TROUBLE as error:
        first = str(error).partition("\n")[0]
        raise DataError(f"the file cannot be written as it was: {first}", "repair a CSV copy") from error
    return out.getvalue()


def change(frame: Frame, plan: Plan) -> tuple[Frame, Parts]:
    """Carry out a plan; row groups lose the rows that are dropped."""
    table, parts = change_table(frame.table, plan)
    dropped = [change.row for change in plan.only("drop")]
    if not dropped:
        return replace(frame, table=table), parts
    edges = list(accumulate(frame.groups, initial=0))
    lost = [bisect_left(dropped, edge) for edge in edges]
    kept = (rows - (b - a) for rows, (a, b) in zip(frame.groups, pairwise(lost), strict=True))
    parts[GROUPS] = json.dumps(frame.groups)
    return replace(frame, table=table, groups=tuple(rows for rows in kept if rows)), parts


def restore(
    frame: Frame, entries: Sequence[Mapping[str, Any]], *, parts: Parts, header: Mapping[str, Any]
) -> Frame:
    """Return the table before the changes, in its former row groups."""
    table = restore_table(frame.table, entries, parts=parts, header=header)
    groups = json.loads(parts[GROUPS]) if GROUPS in parts else frame.groups
    if sum(groups) != table.num_rows:  # of a journal of an earlier version
        groups = [table.num_rows]
    return replace(frame, table=table, groups=tuple(groups))


def change_table(table: pa.Table, plan: Plan) -> tuple[pa.Table, Parts]:
    """Carry out a plan."""
    if table.num_rows != plan.rows or plan.label_column not in table.column_names:
        what = f"the file has {table.num_rows} rows, the audit read {plan.rows}"
        raise DataError(what, "audit it again")
    parts = Parts()
    labels = plan.only("relabel")
    if labels:
        at = table.column_names.index(plan.label_column)
        old = table.column(at)
        metadata = (table.schema.metadata or {}).get(KEY.encode(), b"")
        names = names_in(metadata).get(plan.label_column, ())
        given = {change.row: _labelled(old, change, plan, names) for change in labels}
        parts["label"] = _pack(_cells(old, sorted(given), table.schema.field(at)))
        table = table.set_column(at, table.schema.field(at), _replaced(old, given))
    if plan.only("weight"):
        table = _weighted(table, plan, parts)
    dropped = [change.row for change in plan.only("drop")]
    if dropped:
        parts[DROPPED] = _pack(pa.concat_tables([table.slice(row, 1) for row in dropped]))
        edges = [-1, *dropped, table.num_rows]
        kept = [table.slice(a + 1, b - a - 1) for a, b in pairwise(edges)]
        table = pa.concat_tables([piece for piece in kept if piece.num_rows])
    return table, parts


def restore_table(
    table: pa.Table, entries: Sequence[Mapping[str, Any]], *, parts: Parts, header: Mapping[str, Any]
) -> pa.Table:
    """Return the table before the changes."""
    try:
        rows = {action: [int(e["row"]) for e in entries if e["action"] == action] for action in _ACTIONS}
        if rows["drop"]:
            table = _inserted(table, _unpack(parts[DROPPED]), rows["drop"])
        if rows["weight"] and "weight" not in parts:
            table = table.drop_columns([header["weight_column"]])
        for part, action, name in (
            ("weight", "weight", "weight_column"),
            ("label", "relabel", "label_column"),
        ):
            if part in parts:
                at = table.column_names.index(header[name])
                old = _unpack(parts[part]).column(0)
                cells = {row: old.slice(i, 1) for i, row in enumerate(rows[action])}
                table = table.set_column(at, table.schema.field(at), _replaced(table.column(at), cells))
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise DataError(f"the journal is damaged: {error}", "fetch it again") from error
    return table.replace_schema_metadata(table.schema.metadata)


_ACTIONS: Final = ("relabel", "weight", "drop")


def _labelled(
    column: pa.ChunkedArray, change: RowChange, plan: Plan, names: Sequence[str]
) -> pa.ChunkedArray:
    """Return the new class as one cell: that of a row that has it, or a new one."""
    rows = plan.examples.get(str(change.label), ())
    if rows:
        return column.slice(rows[0], 1)
    label = str(change.label)
    if not names or not pa.types.is_integer(column.type):
        return _new(label, column.type, plan.label_column)
    if label not in names:
        what = f"column {plan.label_column!r} holds numbers, and no name of one is {shown(label)!r}"
        raise DataError(what, "name the class where the dataset is made, then audit it again")
    return _new(names.index(label), column.type, plan.label_column)


def _new(value: str | float, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    try:
        cell = pa.array([value]) if pa.types.is_string_view(plain) else pa.array([value]).cast(plain)
        cell = cell.cast(plain)
        return pa.chunked_array([cell.dictionary_encode().cast(kind) if plain != kind else cell], kind)
    except _TROUBLE as error:
        hint = "choose a value that it can hold"
        raise DataError(f"column {name!r} of type {kind} cannot hold {value!r}", hint) from error


def _cells(column: pa.ChunkedArray, rows: Sequence[int], field: pa.Field) -> pa.Table:
    chunks = [chunk for row in rows for chunk in column.slice(row, 1).chunks]
    return pa.table([pa.chunked_array(chunks, field.type)], schema=pa.schema([field]))


def _replaced(column: pa.ChunkedArray, cells: Mapping[int, pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return the column with other cells in some rows."""
    chunks, done = list[pa.Array](), 0
    for row in sorted(cells):
        chunks += [*column.slice(done, row - done).chunks, *cells[row].chunks]
        done = row + 1
    chunks += column.slice(done).chunks
    whole = pa.chunked_array([chunk for chunk in chunks if len(chunk)], column.type).combine_chunks()
    return whole if isinstance(whole, pa.ChunkedArray) else pa.chunked_array([whole], column.type)


def _weighted(table: pa.Table, plan: Plan, parts: Parts) -> pa.Table:
    """Set the weights; where there is no such column, it is made, with 1 in all other rows."""
    name, decided = plan.weight_column, plan.only("weight")
    if name not in table.column_names:
        weights = [1.0] * table.num_rows
        for change in decided:
            weights[change.row] = float(change.weight or 0.0)
        return table.append_column(name, pa.chunked_array([pa.array(weights, pa.float64())]))
    at = table.column_names.index(name)
    old, field = table.column(at), table.schema.field(at)
    given = {change.row: _new(float(change.weight or 0.0), old.type, name) for change in decided}
    parts["weight"] = _pack(_cells(old, sorted(given), field))
    return table.set_column(at, field, _replaced(old, given))


def _inserted(table: pa.Table, dropped: pa.Table, rows: Sequence[int]) -> pa.Table:
    """Put rows back where they were, in the order of the old file."""
    pieces, done = list[pa.Table](), 0
    for i, row in enumerate(rows):
        pieces += [table.slice(done, row - i - done), dropped.slice(i, 1)]
        done = row - i
    pieces.append(table.slice(done))
    return pa.concat_tables([piece for piece in pieces if piece.num_rows])


def _pack(table: pa.Table) -> str:
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return base64.b64encode(out.getvalue()).decode()


def _unpack(text: str) -> pa.Table:
    with pa.ipc.open_stream(base64.b64decode(text)) as reader:
        return reader.read_all()
