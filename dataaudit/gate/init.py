"""`audit init`: the files that make a project check its data, for what is found in its folder.

The configuration, the hook and the workflow go in where they belong and nothing else of a file changes:
comments, order and line ends stay. What is there already is never replaced without being asked to. Which
column is the label, and which the id, is guessed only where one answer is clear: a wrong label column is
worse than a line to fill in. The hook and the workflows are the files in ``ci/``: a line that ends in
``#? lfs`` or ``#? dvc`` is for projects that keep data there. They belong to the root of the repository, also
where the project is a folder in it.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import polars as pl

from dataaudit.data.blob import PACKED, TABLE_NAMES
from dataaudit.data.pointers import SUFFIX
from dataaudit.errors import AuditError, SettingError
from dataaudit.gate.config import OWN, PROJECT, find_config
from dataaudit.gate.data import open_data
from dataaudit.gate.git import said
from dataaudit.gate.install import UNKNOWN
from dataaudit.gate.settings import toml, toml_key

Host = Literal["", "github", "gitlab"]
HOOK: Final = "dataaudit-check"  # its id
KINDS: Final = TABLE_NAMES - {".json"}  # which is anything
MOST: Final = 12  # datasets proposed: more are to be chosen by a person
_SCANNED = frozenset({".parquet", ".pq", ".feather", ".arrow"})
_OPTIONAL = re.compile(r"(.*?)(?:  #\? (\w+))?")  # a line of a template, and for whom it is
_PLAIN = re.compile(r"[\w./+@ -]+")  # what means nothing to YAML, and to a shell only a space
_READ = 64 << 20  # bytes of a text file up to which it is read for its columns
_DEEP, _FOLDERS = 4, 2000  # how far the search goes
_PASSED_OVER = frozenset(
    {"node_modules", "venv", "env", "site-packages", "build", "dist", "tests", "test", "docs", "target"}
)
_LABELS = frozenset({"label", "labels", "target", "class", "y", "category", "outcome"})
_IDS = frozenset({"id", "row_id", "uuid"})
_CLASSES = 100  # more distinct values are no classes
_SAMPLE = 10_000  # rows looked at
_NAMED = 12  # columns named in a comment
_HELD_OUT = ("test", "holdout", "heldout", "valid", "validation", "val", "dev")


@dataclass(frozen=True, slots=True)
class Proposal:
    """A dataset that could be checked."""

    name: str
    path: str
    test: str = ""  # path of rows held out; empty for none
    label: str = ""
    id: str = ""
    columns: tuple[str, ...] = ()  # all columns; empty if they were not looked at


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found in a folder."""

    datasets: tuple[Proposal, ...]  # by path
    left_out: int  # tables beyond `MOST`
    git: bool  # whether the folder is in a Git repository
    inside: str  # POSIX path of the folder from the root of the repository; empty for the root
    keepers: frozenset[str]  # of data that are not in Git itself: lfs, dvc
    pointers: tuple[str, ...]  # of DVC, from the root
    host: Host  # where its continuous integration is, by its files, then by its remote
    branch: str  # default branch of the remote


def survey(folder: Path) -> Survey:
    """Return what a folder has."""
    tables = sorted(set(_tables(folder)))
    found = _paired(_grouped(tables))
    top = said(folder, "rev-parse", "--show-toplevel")
    inside = said(folder, "rev-parse", "--show-prefix").rstrip("/")
    dvc = [f"{path}{SUFFIX}" for path in tables if (folder / f"{path}{SUFFIX}").is_file()]
    lfs = "filter: lfs\n" in said(folder, "check-attr", "filter", "--", *tables) + "\n" if tables else False
    head = said(folder, "symbolic-ref", "--short", "refs/remotes/origin/HEAD")
    return Survey(
        datasets=tuple(_columns(folder, proposal) for proposal in found[:MOST]),
        left_out=max(len(found) - MOST, 0),
        git=bool(top),
        inside=inside,
        keepers=frozenset(name for name, there in (("lfs", lfs), ("dvc", dvc)) if there),
        pointers=tuple((PurePosixPath(inside) / path).as_posix() for path in dvc),
        host=_host(Path(top) if top else folder),
        branch=head.removeprefix("origin/") or "main",
    )


def _tables(folder: Path) -> Iterator[str]:
    """Yield the tables below, less hidden folders, those of tools, and findings of an audit."""
    for seen, (here, inner, names) in enumerate(os.walk(folder)):
        if seen >= _FOLDERS:
            return
        place = Path(here).relative_to(folder)
        deep = len(place.parts) >= _DEEP or "provenance.json" in names
        own = (name for name in inner if not name.startswith((".", "_")))
        inner[:] = [] if deep else sorted(name for name in own if name.lower() not in _PASSED_OVER)
        if "provenance.json" in names:
            continue
        for name in names:
            name = name.removesuffix(SUFFIX)  # the data that it stands for  # noqa: PLW2901
            ends = [suffix.lower() for suffix in PurePosixPath(name).suffixes[-2:]]
            kind = ends[-2] if len(ends) > 1 and ends[-1] in PACKED else ends[-1] if ends else ""
            if kind in KINDS and not name.startswith("."):
                yield (place / name).as_posix()


def _grouped(paths: Sequence[str]) -> list[str]:
    """Return files that differ in numbers only as one glob: the parts of one table."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        pure = PurePosixPath(path)
        groups.setdefault((pure.parent / re.sub(r"\d+", "*", pure.name)).as_posix(), []).append(path)
    return [glob if len(files) > 1 else files[0] for glob, files in groups.items()]


def _paired(paths: Sequence[str]) -> list[Proposal]:
    """Return the datasets, each train file with the file of rows held out next to it."""
    known = set(paths)
    tests = {path: _partner(path, known) for path in paths}
    used = set(tests.values())
    kept = [Proposal(_name(path), path, tests[path]) for path in paths if path not in used]
    names = [proposal.name for proposal in kept]
    return [replace(p, name=_long_name(p.path)) if names.count(p.name) > 1 else p for p in kept]


def _partner(path: str, known: set[str]) -> str:
    pure = PurePosixPath(path)
    if not re.search(r"(?<![a-z])train(ing)?(?![a-z])", pure.name.lower()):
        return ""
    names = (re.sub("train(ing)?", word, pure.name, flags=re.IGNORECASE) for word in _HELD_OUT)
    return next((other for name in names if (other := (pure.parent / name).as_posix()) in known), "")


def _name(path: str) -> str:
    pure = PurePosixPath(path)
    stem = pure.name.split(".")[0].strip("*-_ ")
    return re.sub(r"[^\w-]+", "-", stem or pure.parent.name) or "data"


def _long_name(path: str) -> str:
    parts = PurePosixPath(path).parts
    return re.sub(r"[^\w-]+", "-", "-".join((*parts[:-1], parts[-1].replace(".", "-")))).strip("-")


def _columns(folder: Path, proposal: Proposal) -> Proposal:
    """Look at the columns, with the reader that the gate has; a file that it refuses is left as it is."""
    matches = sorted(folder.glob(proposal.path)) if "*" in proposal.path else []
    first = matches[0] if matches else folder / proposal.path
    if not first.is_file() or (first.suffix.lower() not in _SCANNED and first.stat().st_size > _READ):
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
    remote = said(folder, "remote", "get-url", "origin").lower()
    return "github" if "github" in remote else "gitlab" if "gitlab" in remote else ""


@dataclass(frozen=True, slots=True)
class FileEdit:
    """A file as it is and as it would be."""

    path: str  # POSIX path from the folder
    before: str | None = None
    after: str | None = None
    replaces: bool = False  # whether something that is there would be lost
    note: str = ""  # why nothing is to be done, in a full sentence; empty if something is


@dataclass(frozen=True, slots=True)
class Place:
    """Where a project is in its repository, and what its checks are called by."""

    found: Survey
    install: str  # the requirement that workflows install
    config: str  # POSIX path of the configuration from the root; empty if the root has it

    @property
    def up(self) -> str:
        """The root from the folder."""
        return "../" * len(PurePosixPath(self.found.inside).parts)

    @property
    def name(self) -> str:
        """What distinguishes the files and jobs of a folder; empty for the root."""
        return "-" + re.sub(r"[^\w-]+", "-", self.found.inside) if self.config else ""

    @property
    def command(self) -> str:
        """How the check is called at the root."""
        return f"audit check --config {shlex.quote(self.config)}" if self.config else "audit check"

    def template(self, name: str) -> str:
        """Return a file of ours for this place."""
        whole = files("dataaudit.gate").joinpath("ci", name).read_text(encoding="utf-8")
        lines = [_OPTIONAL.fullmatch(line) for line in whole.splitlines()]
        text = "".join(f"{m[1]}\n" for m in lines if m and (m[2] is None or m[2] in self.found.keepers))
        text = text.replace("POINTERS", shlex.join(self.found.pointers))
        text = text.replace(UNKNOWN, self.install)
        text = re.sub(r"(?<!data)audit check", lambda _: self.command, text)
        if self.config:
            inside = self.found.inside
            text = text.replace("files: '", f"files: '^{re.escape(inside)}/.*")
            text = text.replace(".dataaudit-cache/", f"{inside}/.dataaudit-cache/")
            text = text.replace("name: data\n", f"name: data in {inside}\n", 1)
            text = re.sub(r"(?m)^dataaudit(?=:)|keys?: dataaudit", rf"\g<0>{self.name}", text)
        return text


def plan(folder: Path, found: Survey, *, host: Host, install: str = UNKNOWN) -> list[FileEdit]:
    """Return what to write; workflows install `install`."""
    place = Place(found, install, _config_from_root(folder, found))
    edits = [_configuration(folder, found)]
    if found.git:
        mark = place.config or HOOK
        hook = partial(_with_hook, ours=place.template("pre-commit-config.yaml"))
        edits.append(_inserted(folder, f"{place.up}.pre-commit-config.yaml", mark, hook))
    if host == "github":
        path = f"{place.up}.github/workflows/dataaudit{place.name}.yml"
        edits.append(_whole(folder, path, github_workflow(place)))
    elif host == "gitlab":
        job = partial(
            _with_job, job=place.template("gitlab-ci.yml").replace("origin/main", f"origin/{found.branch}")
        )
        edits.append(_inserted(folder, f"{place.up}.gitlab-ci.yml", place.command, job))
    return edits


def _config_from_root(folder: Path, found: Survey) -> str:
    """Return the path of the configuration from the root of the repository; empty if it is there itself."""
    if not found.inside:
        return ""
    own = PROJECT if (folder / PROJECT).is_file() else OWN
    config = find_config(folder) or folder.resolve() / own
    depth = len(PurePosixPath(found.inside).parts)
    root = folder.resolve().parents[depth - 1]
    if config.parent == root or root not in config.parents:
        return ""
    path = config.relative_to(root).as_posix()
    if not _PLAIN.fullmatch(path):
        raise SettingError(f"{path!r} cannot stand in a hook or a workflow", "rename the folder")
    return path


def _configuration(folder: Path, found: Survey) -> FileEdit:
    known = find_config(folder)
    if known and known != folder.resolve() / OWN:
        name = known.name if known.parent == folder.resolve() else known.as_posix()
        return FileEdit(name, note=f"{name} has the configuration already: it stays as it is.")
    if known or not (folder / PROJECT).is_file():
        return _whole(folder, OWN, configuration(found, table=""))
    before = _text(folder / PROJECT)
    after = _below(before, configuration(found, table="tool.dataaudit"))
    try:
        tomllib.loads(after.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        what = f"{PROJECT} has no room for a table of ours: {error}"
        raise SettingError(what, f"write {OWN} by hand: audit config schema") from error
    return FileEdit(PROJECT, before, after)


def configuration(found: Survey, *, table: str) -> str:
    """Return the configuration of what was found, in ``[table]`` or, without one, as a file of its own."""
    head = "# Read by audit check. What is in force: audit config show. All keys: audit config schema.\n"
    top = f"[{table}]\n" if table else ""
    lines = [
        'fail-on = "error"  # or "warning", or "note"',
        '# ignore = ["DA105"]  # rules to leave out; audit rule --all lists them',
        "# limits = { DA101 = 0.02 }",
    ]
    blocks = [head + top + "\n".join(lines) + "\n"]
    prefix = f"{table}." if table else ""
    blocks += [_dataset(proposal, prefix, found.branch) for proposal in found.datasets]
    if not found.datasets:
        blocks.append(f'# [{prefix}datasets.train]\n# path = "data/train.csv"\n# label = "y"\n')
    if found.left_out:
        blocks.append(f"# {found.left_out} more tables were found.\n")
    return "\n".join(blocks)


def _dataset(proposal: Proposal, prefix: str, branch: str) -> str:
    lines = [f"[{prefix}datasets.{toml_key(proposal.name)}]", f"path = {toml(proposal.path)}"]
    if proposal.test:
        lines.append(f"test = {toml(proposal.test)}")
    if proposal.label:
        lines.append(f"label = {toml(proposal.label)}")
    else:
        shown = ", ".join(toml(name) for name in proposal.columns[:_NAMED])
        more = ", …" if len(proposal.columns) > _NAMED else ""
        which = f"one of {shown}{more}" if shown else "the column to predict"
        lines.append(f'# label = ""  # fill in: {which}')
    if proposal.id:
        lines.append(f"id = {toml(proposal.id)}")
    base = f'# base = "origin/{branch}:"  # if the file is in Git: only rows that are new since can fail'
    return "\n".join([*lines, base]) + "\n"


def github_workflow(place: Place) -> str:
    """Return a workflow that needs no other file of ours."""
    branch = place.found.branch
    return (
        place.template("github.yml")
        .replace("[main]", f"[{branch}]")
        .replace("origin/main", f"origin/{branch}")
    )


def _with_hook(text: str, *, ours: str) -> str:
    """Return a pre-commit configuration with our entry at the end of its list of repositories."""
    if not text.strip():
        return ours
    lines = text.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if re.match(r"repos:\s*(#.*)?$", line)), None)
    if start is None:
        raise SettingError(".pre-commit-config.yaml has no plain list of repos", "add the hook by hand")
    end = next((i for i in range(start + 1, len(lines)) if re.match(r"[^\s#-]", lines[i])), len(lines))
    while end > start + 1 and re.match(r"\s*$|#", lines[end - 1]):  # what is above the next key belongs to it
        end -= 1
    items = [re.match(r"(\s*)- ", line) for line in lines[start + 1 : end]]
    indent = next((item[1] for item in items if item), "  ")
    before, after = "".join(lines[:end]), "".join(lines[end:])
    entry = "".join(indent + line.removeprefix("  ") for line in ours.splitlines(keepends=True)[1:])
    return _ended(before) + _ends_like(text, entry) + after


def _with_job(text: str, *, job: str) -> str:
    stages = re.search(r"^stages:[ \t]*(?:\[(.*?)\]|((?:\s*\n\s*- .*)+))", text, re.MULTILINE)
    named = re.findall(r"[\w.-]*\w", re.sub(r"#.*", "", (stages[1] or stages[2]))) if stages else []
    if named and "test" not in named:
        job = job.replace("stage: test", f"stage: {named[-1]}")
    return _below(text, job)


def _inserted(folder: Path, path: str, mark: str, insert: Callable[[str], str]) -> FileEdit:
    """Return an addition to a file, which may not be there."""
    before = _text(folder / path) if (folder / path).is_file() else None
    if before is not None and mark in before:
        return FileEdit(path, note=f"{path} has it already: it stays as it is.")
    return FileEdit(path, before, insert(before or ""))


def _whole(folder: Path, path: str, content: str) -> FileEdit:
    """Return a file of our own."""
    before = _text(folder / path) if (folder / path).is_file() else None
    if before == content:
        return FileEdit(path, note=f"{path} is there already.")
    return FileEdit(path, before, content, replaces=before is not None)


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:  # line ends as they are
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path.as_posix()} cannot be read as UTF-8 text", "fix or move it") from error


def _below(text: str, block: str) -> str:
    """Return a text with a block at its end."""
    return _ended(text) + _ends_like(text, ("\n" if text.strip() else "") + block)


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + _ends_like(text, "\n")


def _ends_like(text: str, block: str) -> str:
    return block.replace("\n", "\r\n") if "\r\n" in text else block
