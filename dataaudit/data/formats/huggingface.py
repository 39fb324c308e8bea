"""Datasets of Hugging Face: folders that `save_to_disk` wrote, and labels that are numbers with names.

A ``ClassLabel`` is a whole number in the file. Its names are in the metadata of the Arrow schema, in Parquet
as well, under ``huggingface``; who reads the table sees the names, who repairs it writes the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from dataaudit.data.blob import ARROW_FILE, PARQUET, Blob
from dataaudit.data.dataset import Frame
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

KEY: Final = "huggingface"
_LISTED: Final = 5

Names = dict[str, tuple[str, ...]]  # column → the name of each number


def saved_files(folder: Path) -> list[str]:
    """Return the files of a dataset that was saved here, in order; none if it was not."""
    splits = _json(folder / "dataset_dict.json").get("splits")
    if isinstance(splits, list) and splits:
        paths = [(folder / str(split)).as_posix() for split in splits]
        if len(paths) == 1:
            return saved_files(Path(paths[0]))
        names = ", ".join(shown(str(split)) for split in splits[:_LISTED])
        what = f"{shown(folder.as_posix())} holds a dataset of {len(splits)} splits: {names}"
        raise DataError(what, f"name the folder of one: {shown(paths[0])}")
    listed = _json(folder / "state.json").get("_data_files")
    if not isinstance(listed, list):
        return []
    files = [folder / str(one.get("filename")) for one in listed if isinstance(one, dict)]
    for file in files:
        if not file.is_file():
            what = f"{shown(folder.as_posix())} lacks {shown(file.name)}, which its state.json names"
            raise UnreadableFile(what, "save the dataset again")
    return [str(file) for file in files]


def _json(path: Path) -> Mapping[str, Any]:
    """Return what a small file says; nothing where it is absent or of another kind."""
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def class_names(blob: Blob) -> Names:
    """Return the names of the classes that a Parquet or Arrow file keeps as numbers."""
    if blob.data.startswith(PARQUET):
        return names_in(pl.read_parquet_metadata(blob.scannable).get(KEY, ""))
    import pyarrow as pa  # noqa: PLC0415 - a quarter of a second, and few files need it

    source = pa.memory_map(blob.path) if blob.path else pa.BufferReader(blob.data)
    opened = pa.ipc.open_file if blob.data.startswith(ARROW_FILE) else pa.ipc.open_stream
    try:
        metadata = opened(source).schema.metadata or {}
    except (pa.ArrowException, OSError):  # Polars reads what pyarrow does not
        return {}
    return names_in(metadata.get(KEY.encode(), b""))


def names_in(metadata: str | bytes) -> Names:
    """Return the names of classes from the metadata of a schema."""
    try:
        features = json.loads(metadata)["info"]["features"]
        labels = {name: one for name, one in features.items() if one.get("_type") == "ClassLabel"}
        return {name: tuple(map(str, one["names"])) for name, one in labels.items() if one.get("names")}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def with_names(frame: Frame, names: Names) -> tuple[Frame, tuple[str, ...]]:
    """Return a table with names for numbers, and a note; a number without a name, such as -1, is missing."""
    schema = frame.collect_schema()
    known = {name: given for name, given in names.items() if name in schema and schema[name].is_integer()}
    if not known:
        return frame, ()
    columns = [
        pl.selectors.by_name(name).replace_strict(
            list(range(len(given))), list(given), default=None, return_dtype=pl.String
        )
        for name, given in known.items()
    ]
    notes = [
        f"Column {name!r} holds numbers with names, which are read: {_few(given)}."
        for name, given in known.items()
    ]
    return frame.with_columns(columns), tuple(notes)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(map(shown, names[:_LISTED])) + (", …" if len(names) > _LISTED else "")
