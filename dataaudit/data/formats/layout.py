"""Where the rows of a JSON text are: in an array, below a key, or turned about as pandas writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dataaudit.data.formats.header import column_name
from dataaudit.errors import DataError, UnreadableFile
from dataaudit.escape import shown

Kind = Literal["records", "values", "columns", "index", "split", "lists"]
DECODER: Final = json.JSONDecoder(strict=True)
SPACE: Final = re.compile(r"[ \t\n\r]*")
BETWEEN: Final = re.compile(r"[\s,]*")  # what the readers take to stand between records


@dataclass(frozen=True, slots=True)
class Layout:
    """How a JSON text holds its rows."""

    kind: Kind  # "records": objects one after another; the others as pandas calls them, "lists" one a column
    start: int = 0  # character at which the first row may start
    array: bool = False  # whether a bracket closes the rows
    key: str = ""  # under which the array is
    index: tuple[str, ...] = ()  # columns that pandas has as index
    columns: Mapping[str, list[Any]] = field(default_factory=dict)  # values, where no row stands by itself


def find_layout(text: str, target: str, where: str) -> Layout:
    """Return how a JSON text holds its rows; `target` is a column that they should have."""
    start = past(BETWEEN, text, 0)
    if text[start : start + 1] == "[":
        inner = past(SPACE, text, start + 1)
        return Layout("values" if text[inner : inner + 1] == "[" else "records", start + 1, array=True)
    try:
        whole, end = DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return Layout("records")  # who reads them says what is wrong
    if past(SPACE, text, end) < len(text) or not isinstance(whole, dict):
        return Layout("records")
    if target in whole and not isinstance(whole[target], dict | list):
        return Layout("records")
    return _of_object(whole, text, target, where)


def members(text: str, at: int) -> Iterator[tuple[str, int, int, Any]]:
    """Yield the keys of the object that starts at a character, with the span and the value of each."""
    at = past(SPACE, text, past(SPACE, text, at) + 1)
    while text[at] != "}":
        key, at = DECODER.raw_decode(text, at)
        begin = past(SPACE, text, past(SPACE, text, at) + 1)  # past the colon
        value, at = DECODER.raw_decode(text, begin)
        yield key, begin, at, value
        at = past(SPACE, text, at)
        if text[at] == ",":
            at = past(SPACE, text, at + 1)


def past(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return the character after what the pattern takes at another."""
    met = pattern.match(text, at)
    return met.end() if met else at


def named_rows(rows: list[list[Any]], names: list[Any] | None, where: str) -> dict[str, list[Any]]:
    """Return rows that are arrays as columns, named by their place if they have no names."""
    width = len(names if names is not None else rows[0])
    for number, row in enumerate(rows):
        if len(row) != width:
            what = f"row {number} of {where} has {len(row)} values where others have {width}"
            raise UnreadableFile(what, "give all rows as many")
    heads = [column_name(i) for i in range(width)] if names is None else [_name(name) for name in names]
    return {name: [row[i] for row in rows] for i, name in enumerate(heads)}


def _name(name: Any) -> str:
    """Return the name of a column; the levels of a MultiIndex are put together."""
    return "_".join(map(str, name)) if isinstance(name, list) else str(name)


def _of_object(whole: dict[str, Any], text: str, target: str, where: str) -> Layout:
    """Return how a single object holds rows."""
    values = list(whole.values())
    names, data = whole.get("columns"), whole.get("data")
    if isinstance(names, list) and isinstance(data, list) and _all_are(list, data):
        return Layout("split", columns=named_rows(data, names, where))
    keys = [
        key for key, value in whole.items() if isinstance(value, list) and value and _all_are(dict, value)
    ]
    if len(keys) == 1:
        begin = {key: begin for key, begin, _, _ in members(text, 0)}[keys[0]]
        return Layout("records", begin + 1, array=True, key=keys[0], index=_index(whole))
    if len(keys) > 1:
        some = " and ".join(shown(repr(key)) for key in keys[:3])
        raise UnreadableFile(f"{where} has rows under {some}", _taken_out(keys[0]))
    if values and _all_are(dict, values) and (kind := _turned(whole, target)):
        return Layout(kind, columns=_columns(whole) if kind == "columns" else by_name(values))
    if values and _all_are(list, values) and len({len(value) for value in values}) == 1:
        return Layout("lists", columns=whole)
    if values and _all_are((dict, list), values):
        some = shown(", ".join(map(repr, list(whole)[:3])))
        hint = f'write it with orient="records", or {_taken_out(next(iter(whole)))}'
        raise UnreadableFile(f"{where} is one object of {some}, not one object per row", hint)
    return Layout("records")


def _taken_out(key: str) -> str:
    return f"take the rows out: jq -c '.[{shown(json.dumps(key))}][]' FILE > rows.jsonl"


def _all_are(kind: type | tuple[type, ...], values: list[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _index(whole: dict[str, Any]) -> tuple[str, ...]:
    """Return the columns that pandas' schema names as index."""
    schema = whole.get("schema")
    named = schema.get("primaryKey") if isinstance(schema, dict) else None
    return tuple(map(str, named)) if isinstance(named, list) else ()


def _turned(whole: dict[str, dict[str, Any]], target: str) -> Literal["columns", "index"] | None:
    """Whether an object of objects holds them by column or by row, as pandas writes both."""
    first = next(iter(whole.values()))
    if target in whole or target in first:
        return "columns" if target in whole else "index"
    if first and all(key.isdigit() for key in first):
        return "columns"
    return "index" if all(key.isdigit() for key in whole) else None


def _columns(whole: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    rows = dict.fromkeys(key for column in whole.values() for key in column)
    return {name: [column.get(row) for row in rows] for name, column in whole.items()}


def by_name(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return objects as columns."""
    names = dict.fromkeys(key for row in rows for key in row)
    return {name: [row.get(name) for row in rows] for name in names}


def require_records(layout: Layout) -> None:
    """Refuse to repair what is not laid out row by row."""
    if layout.kind != "records":
        what = f"a JSON file that is laid out by {layout.kind} is not repaired"
        raise DataError(what, 'write it with orient="records", and audit that')
