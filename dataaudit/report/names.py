"""How rows are named where people read: the file is said once, then ``line 480`` or ``row 479``.

A row without an id of its own is known by its file: ``data/train.csv:480`` is the physical line where it
starts, from 1, and ``data/train.parquet#479`` its number, from 0. Where all rows are of one file that is left
out; else files have the shortest names that tell them apart. Formats for programs keep the whole names.
"""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.findings.record import AuditRecord
    from dataaudit.findings.tables import Tables
    from dataaudit.findings.verdict import Site

AnyTables = TypeVar("AnyTables", bound="Tables")

_PLACE: Final = r"^(.*)([:#])(\d+)$"
_WORDS: Final = {":": "line", "#": "row"}
_WHOLE: Final = ":1"  # what follows the path of a text, which is a row as a whole


def short_names(files: Iterable[str]) -> dict[str, str]:
    """Return the shortest ends of paths that tell them apart; none for a single one."""
    paths = {file: PurePosixPath(file).parts for file in files}
    if len(paths) == 1:
        return dict.fromkeys(paths, "")
    names: dict[str, str] = {}
    depth, left = 1, paths
    while left:
        ends: dict[tuple[str, ...], list[str]] = {}
        for file, parts in left.items():
            ends.setdefault(parts[-depth:], []).append(file)
        for end, same in ends.items():
            if len(same) == 1 or depth >= max(len(paths[file]) for file in same):
                names |= {file: str(PurePosixPath(*end)) if len(same) == 1 else file for file in same}
        left = {file: parts for file, parts in left.items() if file not in names}
        depth += 1
    return names


def place_name(file: str, mark: str, number: object) -> str:
    """Return how a row of a file is named; `mark` is ``:`` for a line and ``#`` for a number."""
    return f"{file} {_WORDS[mark]} {number}".strip()


def site_name(site: Site, files: Mapping[str, str]) -> str:
    """Return how a row, column or file of a verdict is named; `files` has what stands for each."""
    name = files.get(site.source, site.source)
    if site.line is not None:
        return place_name(name, ":", site.line)
    if site.row is not None:
        return place_name(name, "#", site.row)
    name = name or PurePosixPath(site.source).name
    return f"{name}[{site.column}]" if site.column else name


@dataclass(frozen=True)
class RowNames:
    """How the rows of some files are named."""

    files: Mapping[str, str]  # what stands for each, with a blank; rows of other files keep their names
    folder: str = ""  # with a slash; a text below it is a row, and known by its path from there

    @classmethod
    def of(cls, record: AuditRecord) -> RowNames:
        """Return how an audit's rows are named; those with an id keep it."""
        origins = [*record.origins, *getattr(record, "test_origins", ())]
        if record.settings.get("id_column") or not origins:
            return cls({})
        texts = [str(one["path"]) for one in origins if one["format"] == "text"]
        files = short_names(str(one["path"]) for one in origins if one["format"] != "text")
        files = {file: f"{name} " if name else "" for file, name in files.items()}
        return cls(files, f"{posixpath.commonpath(texts)}/" if texts else "")

    def __call__(self, name: pl.Expr) -> pl.Expr:
        """Return how rows are named."""
        import polars as pl  # noqa: PLC0415 - a verdict needs none

        parts = name.str.extract_groups(_PLACE)
        file, mark, number = (parts.struct.field(at) for at in ("1", "2", "3"))
        short = file.replace_strict(self.files, default=None, return_dtype=pl.String)
        word = mark.replace_strict(_WORDS, default=None, return_dtype=pl.String)
        named = pl.concat_str(short, word, pl.lit(" "), number)
        if self.folder:
            below = name.str.starts_with(self.folder)
            named = (
                pl.when(below)
                .then(name.str.strip_prefix(self.folder).str.strip_suffix(_WHOLE))
                .otherwise(named)
            )
        return pl.coalesce(named, name)

    def one(self, name: str) -> str:
        """Return how one row is named."""
        import polars as pl  # noqa: PLC0415 - likewise

        return str(pl.select(self(pl.lit(name))).item())


def short_rows(findings: AnyTables) -> AnyTables:
    """Return the findings with the names of rows as people read them; the provenance's run stays."""
    record = findings.record
    names = RowNames.of(record)
    changes: dict[str, Any] = {}
    for table, frame in findings.tables().items():
        rows = [name for name, kind in findings.SCHEMAS[table].holds.items() if kind in ("train", "test")]
        if rows:
            changes[table] = frame.with_columns(_named(frame, name, names) for name in rows)
    if tested := getattr(record, "test_row_id", ""):
        facts: dict[str, Any] = {"test_row_id": names.one(tested), "run": record.run_id}
        changes["provenance"] = dataclasses.replace(record, **facts)
    return dataclasses.replace(findings, **changes)


def _named(frame: pl.DataFrame, column: str, names: RowNames) -> pl.Expr:
    """Return a column of names, or of lists of them."""
    import polars as pl  # noqa: PLC0415 - likewise

    nested = frame.schema[column].is_nested()
    shown = pl.col(column).list.eval(names(pl.element())) if nested else names(pl.col(column))
    return shown.alias(column)
