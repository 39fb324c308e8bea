"""The registry of output formats: a name leads to a `Writer`; of a verdict several are written in one run.

Another package adds a format by an entry point that names a `Writer`, in the group of the kind::

    [project.entry-points."dataaudit.writers"]
    prodigy = "mypackage.prodigy:WRITER"

    [project.entry-points."dataaudit.writers.mismatch"]
    slack = "mypackage.slack:WRITER"
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Final, Literal

from dataaudit.data.paths import require_apart
from dataaudit.errors import SettingError, WriteError, closest
from dataaudit.files import require_folder, write_page
from dataaudit.findings.verdict import Verdict
from dataaudit.report.blocks import Writer
from dataaudit.writers.places import Surroundings

GROUP: Final = "dataaudit.writers"
BUILT_IN: Final = ("console", "html", "json", "jsonl", "markdown", "text")
CHECK: Final = (
    *("concise", "full", "github", "gitlab", "html", "json", "jsonl", "junit", "markdown", "sarif", "text"),
)
Kind = Literal["labels", "mismatch", "explanation", "vulnerability", "check"]
_MAPPINGS: Final = ("concise", "github", "gitlab", "junit", "sarif")  # of a verdict, which are no layout
_MODULES: Final = {  # of formats that have none of their own
    "concise": "annotations",
    "github": "annotations",
    "gitlab": "annotations",
    "jsonl": "json",
    "text": "console",
}


def names(kind: Kind = "labels") -> tuple[str, ...]:
    """Return the names of all formats of a kind, ours first, each group sorted."""
    ours = CHECK if kind == "check" else BUILT_IN
    return (*ours, *sorted(set(_others(kind)) - set(ours)))


def get(name: str, kind: Kind = "labels") -> Writer:
    """Return the writer of a format; it is imported now, not before."""
    if name in (CHECK if kind == "check" else BUILT_IN):
        return _ours(name, kind)
    entry = _others(kind).get(name)
    if entry is None:
        close = closest(name, names(kind))
        hint = f"did you mean {close!r}?" if close else f"the formats are {', '.join(names(kind))}"
        raise SettingError(f"there is no format {name!r}", hint)
    try:
        writer = entry.load()
    except (ImportError, AttributeError) as error:
        raise SettingError(f"format {name!r} cannot be loaded from {entry.value}: {error}") from error
    if not isinstance(writer, Writer):
        raise SettingError(f"format {name!r} is no dataaudit.writers.Writer: got {type(writer).__name__}")
    return writer


def _ours(name: str, kind: Kind) -> Writer:
    laid_out = kind == "check" and name not in _MAPPINGS
    module = "verdict" if laid_out else _MODULES.get(name, name)
    writer: Writer = import_module(f"dataaudit.writers.{module}").WRITERS[name]
    return writer


def _others(kind: Kind) -> dict[str, EntryPoint]:
    group = GROUP if kind == "labels" else f"{GROUP}.{kind}"
    return {entry.name: entry for entry in entry_points(group=group)}


def check_outputs(outputs: Mapping[str, Path], sources: Iterable[str] = ()) -> None:
    """Check before the work begins that each format could be written to its file, which is no source."""
    require_apart(outputs.values(), sources, hint="name another file with --output")
    taken: dict[Path, str] = {}
    for name, path in outputs.items():
        get(name, "check")
        if (other := taken.setdefault(path.absolute(), name)) != name:
            what = f"{other} and {name} would both be written to {path.as_posix()}"
            raise SettingError(what, "give each format a file of its own")
        if path.is_dir():
            raise WriteError(
                f"{path.as_posix()} is a folder", f"name a file: --output {name}={path.as_posix()}/…"
            )
        require_folder(path.absolute().parent, hint=f"name another file: --output {name}=FILE")


def write_outputs(verdict: Verdict, around: Surroundings, *, outputs: Mapping[str, Path]) -> tuple[Path, ...]:
    """Write a verdict in several formats, each file whole or not at all, once all texts are made."""
    check_outputs(outputs)
    texts = {name: _text(name, verdict, around=around) for name in outputs}
    for name, path in outputs.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"folder {path.parent.as_posix()} cannot be made: {error.strerror or error}"
            raise WriteError(what, "name a folder that you may write to") from error
        write_page(texts[name], path)
    return tuple(outputs.values())


def _text(name: str, verdict: Verdict, *, around: Surroundings) -> str:
    out = io.StringIO()
    get(name, "check").write(verdict, around, out)
    return out.getvalue()
