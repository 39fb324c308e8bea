"""Numbers and rows as people read them; every writer formats through here, so that all say the same.

A row without an id of its own is known by its file: ``data/train.csv:480`` is the physical line where it
starts, from 1, and ``data/train.parquet#479`` its number, from 0. People read ``line 480`` and ``row 479``:
where all rows of training, or of test, are of one file it is said once, else files have the shortest names
that tell them apart.
Formats for programs, and decisions, keep the whole names.
"""

from __future__ import annotations

import dataclasses
import math
import posixpath
import re
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

MISSING: Final = "–"
_SPACE: Final = "\N{NO-BREAK SPACE}"
_PLACE: Final = r"^(.*)([:#])(\d+)$"
_WORDS: Final = {":": "line", "#": "row"}
_BARE: Final = re.compile(r"[+-]?[\d.]+|true|false|yes|no|[ynft]|", re.IGNORECASE)  # of classes
_WHOLE: Final = ":1"  # what follows the path of a text, which is a row as a whole


def known(value: float | None) -> bool:
    """Whether there is a number: not None, not NaN, not infinite."""
    return value is not None and math.isfinite(value)


def count(value: float | None) -> str:
    """``4137`` → ``4,137``."""
    return f"{value:,.0f}" if value is not None and known(value) else MISSING


def share(value: float | None, digits: int = 1) -> str:
    """``0.9712`` → ``97.1 %``; what would round to 0 or 100 says ``< 0.1 %`` or ``> 99.9 %`` instead."""
    if value is None or not known(value):
        return MISSING
    percent, least = 100 * value, 10**-digits
    if 0 < percent < least:
        return f"<{_SPACE}{least:.{digits}f}{_SPACE}%"
    if 100 - least < percent < 100:  # noqa: PLR2004 - per cent
        return f">{_SPACE}{100 - least:.{digits}f}{_SPACE}%"
    return f"{percent:.{digits}f}{_SPACE}%"


def fixed(value: float | None, digits: int = 2) -> str:
    """``-0.123`` → ``−0.12``, with a true minus sign; large and tiny ones in three digits."""
    if value is None or not known(value):
        return MISSING
    small = value != 0 and abs(value) < 0.5 * 10**-digits
    text = f"{value:.3g}" if small or abs(value) >= 1e6 else f"{value:,.{digits}f}"  # noqa: PLR2004
    return text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """``0.123`` → ``+0.12``."""
    text = fixed(value, digits)
    return text if text == MISSING or text.startswith("−") else f"+{text}"


def moved(value: float | None, digits: int = 3) -> str:
    """``-0.282`` → ``falls by 0.282 nats``: a change of loss, never a bare signed number."""
    if value is None or not known(value):
        return "changes by an unknown amount"
    if value == 0:
        return "does not change"
    return f"{'rises' if value > 0 else 'falls'} by {short(abs(value), digits)} nats"


def change(value: float | None) -> str:
    """``-0.282`` → ``falls 0.282``, where a table says of what in which unit."""
    if value is None or not known(value):
        return MISSING
    return f"{'falls' if value < 0 else 'rises'}{_SPACE}{short(abs(value))}" if value else "stays"


def nats(value: float | None) -> str:
    """``61.62`` → ``61.6``, ``1441.1`` → ``1,441``: a summed loss."""
    return count(value) if value is not None and abs(value) >= 100 else short(value)  # noqa: PLR2004


def became(before: str, after: str) -> str:
    """``92 → 58``, which stays on one line."""
    return f"{before}{_SPACE}→{_SPACE}{after}"


def short(value: float | None, digits: int = 3) -> str:
    """``2.0000001e-4`` → ``0.0002``, ``3.1e-11`` → ``3.1e−11``: so many significant digits."""
    return f"{value:.{digits}g}".replace("-", "−") if value is not None and known(value) else MISSING


def closed(text: str) -> str:
    """Close up ``80 %``: Rich breaks lines at no-break spaces too."""
    return text.replace(f"{_SPACE}%", "%")


def bare(classes: Iterable[str], column: str) -> str:
    """Return the column of the labels where these are numbers, which say nothing without it; else nothing."""
    return column if all(map(_BARE.fullmatch, classes)) else ""


def of_class(label: str, column: str) -> str:
    """``3`` → ``readmitted = 3``, with a column that `bare` returns."""
    return f"{column} = {label}" if column else label


def more(n: int, one: str, many: str) -> str:
    """Say how many are not shown; nothing where all are."""
    return f"… and {n:,} more {one if n == 1 else many}." if n > 0 else ""


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


def row_name(name: str) -> str:
    """``row 480`` stays, ``q3`` becomes ``row q3``: what stands after “training” or “test”."""
    return name if name.startswith(("row ", "line ")) else f"row {name}"


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
    def of(cls, record: AuditRecord, part: str = "train") -> RowNames:
        """Return how an audit's rows, of training or of test, are named; those with an id keep it."""
        origins = record.origins if part == "train" else getattr(record, "test_origins", ())
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
    import polars as pl  # noqa: PLC0415 - likewise

    record = findings.record
    names = {part: RowNames.of(record, part) for part in ("train", "test")}
    changes: dict[str, Any] = {}
    for table, frame in findings.tables().items():
        rows = {name: kind for name, kind in findings.SCHEMAS[table].holds.items() if kind in names}
        shown = [_named(frame, name, names[part]) for name, part in rows.items()]
        if "part" in frame.columns:  # rows of both
            of_test = [_named(frame, name, names["test"]) for name in rows]
            shown = [pl.when(part="test").then(a).otherwise(b) for a, b in zip(of_test, shown, strict=True)]
        changes[table] = frame.with_columns(shown)
    if tested := getattr(record, "test_row_id", ""):
        facts: dict[str, Any] = {"test_row_id": names["test"].one(tested), "run": record.run_id}
        changes["provenance"] = dataclasses.replace(record, **facts)
    return dataclasses.replace(findings, **changes)


def _named(frame: pl.DataFrame, column: str, names: RowNames) -> pl.Expr:
    """Return a column of names, or of lists of them."""
    import polars as pl  # noqa: PLC0415 - likewise

    nested = frame.schema[column].is_nested()
    shown = pl.col(column).list.eval(names(pl.element())) if nested else names(pl.col(column))
    return shown.alias(column)
