"""Which format a file is: by its first bytes, then by its name, then by its first character."""

from __future__ import annotations

from dataaudit.data.arrow import read_arrow, read_parquet
from dataaudit.data.blob import ARROW_FILE, ARROW_STREAM, PARQUET, Blob
from dataaudit.data.csv import read_delimited
from dataaudit.data.dataset import Part, Wanted
from dataaudit.data.json import read_json
from dataaudit.errors import UnreadableFile

_PARQUET_NAMES = (".parquet", ".pq")
_ARROW_NAMES = (".arrow", ".feather", ".ipc")
_JSON_NAMES = (".json", ".jsonl", ".ndjson")
_DELIMITED_NAMES = (".csv", ".tsv", ".tab", ".psv")
TABLE_NAMES = frozenset((*_PARQUET_NAMES, *_ARROW_NAMES, *_JSON_NAMES, *_DELIMITED_NAMES))
_ASK = "ask it a query: --sql FILE --query 'select …'"
_OTHERS = {
    ".xlsx": "save the sheet as CSV",
    ".xls": "save the sheet as CSV",
    ".pkl": "write it as Parquet",
    ".npz": "write it as Parquet",
    ".npy": "write it as Parquet",
    ".db": _ASK,
    ".sqlite": _ASK,
    ".sqlite3": _ASK,
    ".duckdb": _ASK,
}


def read_table(blob: Blob, wanted: Wanted) -> Part:
    """Read the wanted columns of one file.

    Parameters
    ----------
    blob : Blob
        The file.
    wanted : Wanted
        Which columns.

    Returns
    -------
    Part
        Its rows.

    Raises
    ------
    UnreadableFile
        If it is of no known format, or not of the one it is named after.
    """
    if blob.data.startswith(PARQUET) or blob.suffix in _PARQUET_NAMES:
        return read_parquet(blob, wanted)
    if blob.data.startswith((ARROW_FILE, ARROW_STREAM)) or blob.suffix in _ARROW_NAMES:
        return read_arrow(blob, wanted)
    if blob.suffix in _OTHERS:
        raise UnreadableFile(
            f"{blob.name} is of a format that is not read here: {blob.suffix}", _OTHERS[blob.suffix]
        )
    if blob.suffix in _JSON_NAMES:
        return read_json(blob, wanted)
    if blob.suffix not in _DELIMITED_NAMES and _looks_like_json(blob.data):
        return read_json(blob, wanted)
    return read_delimited(blob, wanted)


def _looks_like_json(data: bytes) -> bool:
    return data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))
