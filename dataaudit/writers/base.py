"""The registry of output formats: a name leads to a `Writer`, which draws the report of any kind of findings.

Another package adds a format by an entry point that names a `Writer`, in the group of the kind::

    [project.entry-points."dataaudit.writers"]
    prodigy = "mypackage.prodigy:WRITER"

    [project.entry-points."dataaudit.writers.mismatch"]
    slack = "mypackage.slack:WRITER"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO

from dataaudit.errors import SettingError, closest

if TYPE_CHECKING:
    from dataaudit.report.blocks import Report

GROUP: Final = "dataaudit.writers"
BUILT_IN: Final = ("console", "html", "json", "jsonl", "markdown", "text")
CHECK: Final = ("full", "github", "gitlab", "html", "json", "jsonl", "junit", "markdown", "sarif", "text")
Kind = Literal["labels", "mismatch", "explanation", "vulnerability", "check"]
_MAPPINGS: Final = ("github", "gitlab", "junit", "sarif")  # of a verdict, which are no layout
_MODULES: Final = {  # of formats that have none of their own
    "github": "annotations",
    "gitlab": "annotations",
    "jsonl": "json",
    "text": "console",
}


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format: `write` takes findings and report; of a check `Verdict` and `Surroundings`."""

    name: str  # what people type
    suffix: str  # of a file in this format, with the dot
    doc: str  # one line for a list of formats
    write: Callable[[Any, Any, TextIO], None]  # writes the whole output to a text stream that takes UTF-8


def drawn(
    draw: Callable[[Report], str], of: Callable[[Any], Report] | None = None
) -> Callable[[Any, Any, TextIO], None]:
    """Return the `write` of a format that draws the report it is given, or what `of` makes of the verdict."""

    def write(found: Any, report: Any, out: TextIO) -> None:
        out.write(draw(of(found) if of else report))

    return write


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
