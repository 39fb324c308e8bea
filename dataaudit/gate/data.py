"""The data that facts are made of: tables as the gate reads them, and what was made of them so far.

Parquet and Arrow files are scanned where they are, anew for each question and by the columns that it is
about, so that the memory needed does not grow with the file. Text files have to be read as a whole anyway;
their rows know their lines.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from dataaudit.data.blob import ARROW_FILE, PARQUET, STDIN, Blob
from dataaudit.data.dataset import USUAL, Dialect, Wanted, plain_types, readable
from dataaudit.data.formats.arrow import arrow_index, parquet_index, with_class_names
from dataaudit.data.load import load
from dataaudit.data.paths import find
from dataaudit.data.sql.query import Query
from dataaudit.errors import DataError, MissingColumn
from dataaudit.escape import shown
from dataaudit.files import is_file
from dataaudit.findings.verdict import Site
from dataaudit.gate.matching import Matching, match
from dataaudit.gate.rules import Need
from dataaudit.gate.settings import DatasetSettings
from dataaudit.options import StepCallback, ignore_progress

_AGAIN = "the file may be cut short: fetch or write it again"


@dataclass(frozen=True)
class Piece:
    """One file of a table: its POSIX path as given, the position of its first row, the number of its rows."""

    path: str
    start: int
    rows: int


@dataclass(frozen=True)
class Data:
    """A table of n rows."""

    lazy: pl.LazyFrame  # all columns but the excluded ones
    pieces: tuple[Piece, ...]  # where the rows come from, in order; at least one
    places: pl.DataFrame | None = None  # source, row, line, (n, 3), where the rows were read; None if scanned
    notes: tuple[str, ...] = ()  # what was decided on the way, in full sentences

    @cached_property
    def schema(self) -> pl.Schema:
        """Columns and their types, in the order of the file."""
        return self.lazy.collect_schema()

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.pieces[-1].start + self.pieces[-1].rows

    def require(self, column: str) -> None:
        """Raise MissingColumn if a column that was named is not there."""
        if column not in self.schema:
            raise MissingColumn(column, self.schema, self.pieces[0].path)

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Return some columns, (n, …)."""
        return self.lazy.select(columns).collect()

    def batches(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Yield some columns piece by piece, in order."""
        yield from self.lazy.select(columns).collect_batches(maintain_order=True, engine="streaming")

    def at(self, positions: Sequence[int], columns: Sequence[str]) -> pl.DataFrame:
        """Return some columns of the rows at `positions`, in the order of these."""
        wanted = pl.Series("position", positions, dtype=pl.Int64)
        picked = (
            self.lazy.select(columns)
            .with_row_index("__position")
            .filter(pl.col("__position").is_in(wanted.implode()))
            .collect(engine="streaming")
            .sort("__position")
        )
        order = picked["__position"].search_sorted(wanted.cast(picked["__position"].dtype))
        return picked.drop("__position")[order.to_list()] if len(wanted) else picked.drop("__position")

    def site(self, position: int, *, row_id: str = "", column: str = "") -> Site:
        """Return the place of a row, which is named by it if it has no name of its own."""
        if self.places is not None:
            source, row, line = self.places.row(position)
        else:
            starts = [piece.start for piece in self.pieces]
            piece = self.pieces[bisect_right(starts, position) - 1]
            source, row, line = piece.path, position - piece.start, None
        name = row_id or (f"{source}#{row}" if line is None else f"{source}:{line}")
        return Site(source=source, row=row, line=line, row_id=name, column=column)

    def positions(self, source: pl.Series, row: pl.Series) -> pl.Series:
        """Return the positions of rows that findings name by source and record number; null if unknown."""
        asked = pl.DataFrame({"source": source, "row": row})
        if self.places is None:
            starts = [(piece.path, piece.start) for piece in self.pieces]
            pieces = pl.DataFrame(starts, schema={"source": pl.String, "start": pl.Int64}, orient="row")
            met = asked.join(pieces, on="source", how="left", maintain_order="left")
            return met.select((pl.col("start") + pl.col("row")).alias("row")).to_series()
        known = self.places.select("source", "row").with_row_index("position")
        met = asked.join(known, on=["source", "row"], how="left", maintain_order="left")
        return met["position"].cast(pl.Int64).alias("row")


def open_data(
    paths: Sequence[str] | Query,
    *,
    label: str,
    exclude: Sequence[str] = (),
    id_column: str | None = None,
    named: Sequence[str] = (),
    dialect: Dialect = USUAL,
) -> Data:
    """Open a table; the columns in `named` are read even where pandas wrote them as its index."""
    wanted = Wanted(label, None, tuple(exclude), id_column, named=tuple(named))
    if not isinstance(paths, Query):
        found = find(paths, label)
        scans = [] if found.classes else [_scan(path) for path in found.tables]
        if scans and all(scan is not None for scan in scans):
            opened = _scanned([scan for scan in scans if scan is not None], found.tables, wanted)
            if opened is not None:
                return opened
    source = paths if isinstance(paths, Query) else list(paths)
    used = [*named, *filter(None, [id_column])]  # the id stays a column here
    dataset = load(source, target=label, exclude=exclude, named=used, dialect=dialect)
    wanted.choose(dataset.frame.columns, dataset.origins[0].path)
    pieces, start = [], 0
    for origin in dataset.origins:
        pieces.append(Piece(origin.path, start, origin.rows))
        start += origin.rows
    places = pl.DataFrame({"source": dataset.source, "row": dataset.row, "line": dataset.line})
    kept = tuple(piece for piece in pieces if piece.rows)
    return Data(dataset.frame.lazy(), kept, places, dataset.notes)


def _scan(path: str) -> pl.LazyFrame | None:
    """Return a scan of a whole Parquet or Arrow file; None for anything that must be read otherwise."""
    plain = Path(path)
    if path == STDIN or "=" in path or not is_file(plain):  # with =, columns may stand in the path
        return None
    try:
        path.encode()
        with plain.open("rb") as file:
            head = file.read(len(ARROW_FILE))
            file.seek(-min(len(ARROW_FILE), plain.stat().st_size), 2)
            tail = file.read()
    except (OSError, UnicodeError):
        return None  # whoever reads it says why
    name = str(plain.absolute())
    if head.startswith(PARQUET) and tail.endswith(PARQUET):
        scan = pl.scan_parquet(name, glob=False, hive_partitioning=False)
    elif head.startswith(ARROW_FILE) and tail.endswith(ARROW_FILE):
        scan = pl.scan_ipc(name, glob=False, hive_partitioning=False)
    else:
        return None
    with readable(f"{shown(path)} is not a readable table", _AGAIN):
        return plain_types(with_class_names(scan, Blob(path, "", "", "", name, head))[0])


def _scanned(scans: list[pl.LazyFrame], paths: Sequence[str], wanted: Wanted) -> Data | None:
    """Return the files as one table; None if their columns or types differ."""
    names = [shown(Path(path).as_posix()) for path in paths]
    schemas, pieces, decided, start = [], [], list[str](), 0
    there: list[str] = []
    for at, (name, path) in enumerate(zip(names, paths, strict=True)):
        with readable(f"{name} is not a readable table", _AGAIN):
            columns = scans[at].collect_schema().names()
            rows = int(scans[at].select(pl.len()).collect().item())
            kept, notes = wanted.without_index(columns, _index(path))
        there += columns
        scans[at] = scans[at].select(kept)
        schemas.append(scans[at].collect_schema())
        decided += notes
        pieces.append(Piece(name, start, rows))
        start += rows
    if any(schema != schemas[0] for schema in schemas[1:]):
        return None
    if not start:
        raise DataError(f"{names[0]} has columns but no rows", "give a table with rows")
    wanted.check_excluded(there, names[0])
    columns = wanted.choose(schemas[0].names(), names[0])
    whole = scans[0] if len(scans) == 1 else pl.concat(scans)
    full = tuple(piece for piece in pieces if piece.rows)
    return Data(whole.select(columns), full, notes=tuple(dict.fromkeys(decided)))


def _index(path: str) -> tuple[str, ...]:
    """Return the index that pandas wrote into a Parquet or Arrow file."""
    with Path(path).open("rb") as file:
        is_parquet = file.read(len(PARQUET)) == PARQUET
    return parquet_index(path) if is_parquet else arrow_index(path)


Made = TypeVar("Made")


def _there(given: Made | None, otherwise: str) -> Made:
    if given is None:
        raise ValueError(otherwise)
    return given


@dataclass(kw_only=True)
class Material:
    """One dataset on its way through the gate."""

    settings: DatasetSettings  # what was asked
    data: Data | None  # the rows; None where there is only a folder of findings
    test: Data | None = None  # the rows held out
    base: Material | None = None  # the accepted rows, with the same `test` and no base of their own
    base_note: str = ""  # what was decided about it, in full sentences; without a base why all rows are new
    folder: Path | None = None  # findings of an audit
    seed: int = 0  # of everything random
    secret: str = ""  # key of the hashes of rows
    redact: bool = False  # whether findings are written without cells of the data
    on_step: StepCallback = ignore_progress
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> Data:
        """The data, where a table's needs say that they are there."""
        return _there(self.data, "there are findings, and no data")

    @property
    def test_rows(self) -> Data:
        """The test data, likewise."""
        return _there(self.test, "there are no test data")

    @property
    def base_rows(self) -> Data:
        """The accepted data, likewise."""
        return _there(self.base, "there is no base").rows

    @property
    def findings_folder(self) -> Path:
        """The folder of findings, likewise."""
        return _there(self.folder, "there is no folder of findings")

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """Return what `make` returns, and keep it for whoever asks for `name` again."""
        if name not in self._made:
            self._made[name] = make()
        made: Made = self._made[name]
        return made

    def lacks(self, need: Need) -> bool:
        """Whether something that a table needs was not given."""
        settings = self.settings
        if need == "fit":
            return self.folder is None and (self.data is None or not settings.label)
        if self.data is None:
            return True
        return not getattr(self if need in ("test", "base") else settings, need)

    @property
    def features(self) -> list[str]:
        """Columns that a model would learn from: those named, or all that are nothing else."""
        settings = self.settings
        others = {settings.label, settings.id, settings.weight, settings.group, settings.date}
        named = {*settings.features, *settings.text, *settings.categorical} if settings.features else None
        return [name for name in self.rows.schema if name not in others and (named is None or name in named)]

    @cached_property
    def matching(self) -> Matching | None:
        """What became of the rows of the base, by the columns of both sides; None without a base."""
        if self.base is None or self.data is None:
            return None
        shared = [name for name in self.rows.schema if name in self.base.rows.schema]
        return match(
            *(side.rows.read(shared or list(side.rows.schema)) for side in (self, self.base)),
            label=self.settings.label,
            id_column=self.settings.id if self.settings.id in shared else None,
            secret=self.secret,
        )

    @property
    def match_notes(self) -> list[str]:
        """What was decided where rows of the base were looked for; nothing where they were not."""
        matching = self.matching if "matching" in self.__dict__ else None
        return matching.notes if matching else []

    @property
    def states(self) -> pl.Series | None:
        """``new``, ``changed`` or ``known``, (n,); None without a base."""
        return self.matching.states if self.matching else None

    @cached_property
    def known(self) -> pl.Series:
        """Whether the base has each row, Boolean (n,)."""
        if self.states is None:
            return pl.repeat(value=False, n=self.rows.n, eager=True)
        return self.states == "known"

    @property
    def fresh(self) -> int:
        """Number of rows that the base has not."""
        return self.rows.n - int(self.known.sum())
