"""The registry of output formats: a name leads to a `Writer`, ours first, then those of other packages.

Another package adds a format by an entry point in the group ``dataaudit.writers`` that names a `Writer`::

    [project.entry-points."dataaudit.writers"]
    labelstudio = "mypackage.labelstudio:WRITER"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, TextIO

from dataaudit.errors import SettingError, closest
from dataaudit.findings import Findings
from dataaudit.summary import Summary

GROUP: Final = "dataaudit.writers"
BUILT_IN: Final = ("console", "html", "json", "jsonl", "text")


@dataclass(frozen=True, slots=True)
class Writer:
    """An output format.

    Attributes
    ----------
    name : str
        What people type.
    suffix : str
        Of a file in this format, with the dot.
    doc : str
        One line for a list of formats.
    write : callable (Findings, Summary, TextIO) -> None
        Writes the whole output to a text stream that takes UTF-8; never to anything else.
    """

    name: str
    suffix: str
    doc: str
    write: Callable[[Findings, Summary, TextIO], None]


def names() -> tuple[str, ...]:
    """Return the names of all formats, ours first, each group sorted."""
    return (*BUILT_IN, *sorted(set(_others()) - set(BUILT_IN)))


def get(name: str) -> Writer:
    """Return the writer of a format; it is imported now, not before.

    Parameters
    ----------
    name : str

    Returns
    -------
    Writer

    Raises
    ------
    SettingError
        If there is no such format, or another package's entry point does not lead to a `Writer`.
    """
    if name in BUILT_IN:
        writer = import_module(f"dataaudit.writers.{name}").WRITER
    elif entry := _others().get(name):
        try:
            writer = entry.load()
        except (ImportError, AttributeError) as error:
            raise SettingError(f"format {name!r} cannot be loaded from {entry.value}: {error}") from error
    else:
        close = closest(name, names())
        hint = f"did you mean {close!r}?" if close else f"the formats are {', '.join(names())}"
        raise SettingError(f"there is no format {name!r}", hint)
    if not isinstance(writer, Writer):
        raise SettingError(f"format {name!r} is no dataaudit.writers.Writer: got {type(writer).__name__}")
    return writer


def _others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
