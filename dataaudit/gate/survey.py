"""What a folder has that a configuration could be made of: tables, their columns, and where its code lives.

Guesses are made only where one answer is clear; a wrong label column is worse than a line to fill in.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import polars as pl

from dataaudit.errors import AuditError
from dataaudit.gate.data import open_data

Host = Literal["", "github", "gitlab"]
KINDS: Final = frozenset({".csv", ".tsv", ".parquet", ".pq", ".feather", ".arrow", ".jsonl", ".ndjson"})
MOST: Final = 12  # datasets proposed: more are to be chosen by a person
_PACKED = frozenset({".gz", ".zst"})
_SCANNED = frozenset({".parquet", ".pq", ".feather", ".arrow"})
_READ = 64 << 20  # bytes of a text file up to which it is read for its columns
_DEEP, _FOLDERS = 4, 2000  # how far the search goes
_PASSED_OVER = frozenset(
    {"node_modules", "venv", "env", "site-packages", "build", "dist", "tests", "test", "docs", "target"}
)
_LABELS = frozenset({"label", "labels", "target", "class", "y", "category", "outcome"})
_IDS = frozenset({"id", "row_id", "uuid"})
_CLASSES = 100  # more distinct values are no classes
_SAMPLE = 10_000  # rows looked at
_HELD_OUT = ("test", "holdout", "heldout", "valid", "validation", "val", "dev")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A dataset that could be checked.

    Attributes
    ----------
    name, path : str
        Its name; POSIX path or glob from the folder.
    test : str
        Path of rows held out; empty for none.
    label, id : str
        Columns; empty where none is clear.
    columns : tuple of str
        All columns; empty if they were not looked at.
    """

    name: str
    path: str
    test: str = ""
    label: str = ""
    id: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found in a folder.

    Attributes
    ----------
    datasets : tuple of Proposal
        By path.
    left_out : int
        Tables beyond `MOST`.
    git : bool
        Whether the folder is the root of a Git repository.
    host : {"", "github", "gitlab"}
        Where its continuous integration is, by its files, then by its remote.
    branch : str
        Default branch of the remote.
    """

    datasets: tuple[Proposal, ...]
    left_out: int
    git: bool
    host: Host
    branch: str


def survey(folder: Path) -> Survey:
    """Return what a folder has.

    Parameters
    ----------
    folder : Path
        Where to look, down to four folders below.
    """
    paths = _grouped(sorted(_tables(folder)))
    chosen = [_columns(folder, proposal) for proposal in _paired(paths)[:MOST]]
    return Survey(
        datasets=tuple(chosen),
        left_out=max(len(_paired(paths)) - MOST, 0),
        git=(folder / ".git").exists(),
        host=_host(folder),
        branch=_branch(folder),
    )


def _tables(folder: Path) -> Iterator[str]:
    """Yield the tables below, less hidden folders, those of tools, and findings of an audit."""
    for seen, (here, inner, names) in enumerate(os.walk(folder)):
        if seen >= _FOLDERS:
            return
        place = Path(here).relative_to(folder)
        deep = len(place.parts) >= _DEEP or "provenance.json" in names
        inner[:] = [] if deep else sorted(name for name in inner if _is_looked_into(name))
        if "provenance.json" in names:
            continue
        for name in names:
            ends = [suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]]
            kind = ends[-2] if len(ends) > 1 and ends[-1] in _PACKED else ends[-1] if ends else ""
            if kind in KINDS and not name.startswith("."):
                yield (place / name).as_posix()


def _is_looked_into(name: str) -> bool:
    return not name.startswith((".", "_")) and name.lower() not in _PASSED_OVER


def _grouped(paths: Sequence[str]) -> list[str]:
    """Return files that differ in numbers only as one glob: the parts of one table."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        pure = PurePosixPath(path)
        groups.setdefault((pure.parent / re.sub(r"\d+", "*", pure.name)).as_posix(), []).append(path)
    return [glob if len(files) > 1 else files[0] for glob, files in groups.items()]


def _paired(paths: Sequence[str]) -> list[Proposal]:
    """Return the datasets, each train file with the file of rows held out beside it."""
    known, used, made = set(paths), set[str](), list[Proposal]()
    for path in paths:
        test = _partner(path, known)
        used |= {test} if test else set()
        made.append(Proposal(_name(path), path, test))
    kept = [proposal for proposal in made if proposal.path not in used]
    names = [proposal.name for proposal in kept]
    return [replace(p, name=_long_name(p.path)) if names.count(p.name) > 1 else p for p in kept]


def _partner(path: str, known: set[str]) -> str:
    pure = PurePosixPath(path)
    if not re.search(r"(?<![a-z])train(ing)?(?![a-z])", pure.name.lower()):
        return ""
    for word in _HELD_OUT:
        other = (pure.parent / re.sub("train(ing)?", word, pure.name, flags=re.IGNORECASE)).as_posix()
        if other in known:
            return other
    return ""


def _name(path: str) -> str:
    pure = PurePosixPath(path)
    stem = pure.name.split(".")[0].strip("*-_ ")
    return re.sub(r"[^\w-]+", "-", stem or pure.parent.name) or "data"


def _long_name(path: str) -> str:
    parts = PurePosixPath(path).parts
    return re.sub(r"[^\w-]+", "-", "-".join((*parts[:-1], parts[-1].replace(".", "-")))).strip("-")


def _columns(folder: Path, proposal: Proposal) -> Proposal:
    """Look at the columns, with the reader that the gate has; a file that it refuses is left as it is."""
    first = min(folder.glob(proposal.path)) if "*" in proposal.path else folder / proposal.path
    if first.suffix.lower() not in _SCANNED and first.stat().st_size > _READ:
        return proposal
    try:
        rows = open_data([str(first)], label="").lazy
        sample = rows.head(_SAMPLE).collect()
    except (AuditError, pl.exceptions.PolarsError):
        return proposal
    labels = [name for name in sample.columns if name.casefold() in _LABELS]
    label = labels[0] if len(labels) == 1 and _has_classes(sample[labels[0]]) else ""
    ids = [name for name in sample.columns if name.casefold() in _IDS and name != label]
    row_id = ids[0] if len(ids) == 1 and _is_unique(rows, ids[0]) else ""
    return replace(proposal, label=label, id=row_id, columns=tuple(sample.columns))


def _has_classes(column: pl.Series) -> bool:
    if column.dtype.is_float() and not (column.drop_nulls() == column.drop_nulls().round()).all():
        return False
    try:
        return 1 < column.drop_nulls().n_unique() <= _CLASSES
    except pl.exceptions.PolarsError:  # of lists and the like
        return False


def _is_unique(rows: pl.LazyFrame, name: str) -> bool:
    try:
        column = rows.select(name).collect().to_series()
        return column.null_count() == 0 and bool(column.is_unique().all())
    except pl.exceptions.PolarsError:
        return False


def _host(folder: Path) -> Host:
    if (folder / ".gitlab-ci.yml").is_file():
        return "gitlab"
    if (folder / ".github").is_dir():
        return "github"
    remote = _git(folder, "remote", "get-url", "origin").lower()
    return "github" if "github" in remote else "gitlab" if "gitlab" in remote else ""


def _branch(folder: Path) -> str:
    head = _git(folder, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    return head.removeprefix("origin/") or "main"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=False)  # noqa: S603, S607
    except OSError:
        return ""
    return "" if done.returncode else done.stdout.decode(errors="replace").strip()
