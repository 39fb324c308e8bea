"""The registry of output formats: a kind of findings and a name lead to a `Writer`, ours first.

Each kind has its own writer of a format, as what they show has little in common: `console` writes the
findings of labels, `mismatch_console` those of a mismatch, `explanation_console` an explanation,
`vulnerability_console` an audit of vulnerability, `verdict_text` what the gate says.

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
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TextIO, TypeVar, overload

from dataaudit.errors import SettingError, closest

if TYPE_CHECKING:
    from dataaudit.findings.schemas import (
        ExplanationFindings,
        Findings,
        MismatchFindings,
        VulnerabilityFindings,
    )
    from dataaudit.findings.verdict import Verdict
    from dataaudit.summary import ExplanationSummary, MismatchSummary, Summary, VulnerabilitySummary
    from dataaudit.writers.places import Surroundings


GROUP: Final = "dataaudit.writers"
BUILT_IN: Final = ("console", "html", "json", "jsonl", "markdown", "text")
CHECK: Final = ("full", "github", "gitlab", "html", "json", "jsonl", "junit", "markdown", "sarif", "text")
MAPPINGS: Final = ("github", "gitlab", "junit", "sarif")  # of a verdict, which are no layout
Kind = Literal["labels", "mismatch", "explanation", "vulnerability", "check"]
_GROUPS: Final[dict[Kind, str]] = {
    "labels": GROUP,
    "mismatch": f"{GROUP}.mismatch",
    "explanation": f"{GROUP}.explanation",
    "vulnerability": f"{GROUP}.vulnerability",
    "check": f"{GROUP}.check",
}
_MODULES: Final[dict[Kind, str]] = {
    "labels": "",
    "mismatch": "mismatch_",
    "explanation": "explanation_",
    "vulnerability": "vulnerability_",
    "check": "",
}

Tables = TypeVar("Tables")
Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Writer(Generic[Tables, Shown]):
    """An output format of one kind of findings.

    Attributes
    ----------
    name : str
        What people type.
    suffix : str
        Of a file in this format, with the dot.
    doc : str
        One line for a list of formats.
    write : callable (Tables, Shown, TextIO) -> None
        Writes the whole output to a text stream that takes UTF-8; never to anything else. It is given the
        findings and their summary: `Findings` and `Summary`, or `MismatchFindings` and `MismatchSummary`;
        of the kind ``check`` a `Verdict` and its `Surroundings`.
    """

    name: str
    suffix: str
    doc: str
    write: Callable[[Tables, Shown, TextIO], None]


def names(kind: Kind = "labels") -> tuple[str, ...]:
    """Return the names of all formats of a kind, ours first, each group sorted."""
    return (*_built_in(kind), *sorted(set(_others(kind)) - set(_built_in(kind))))


@overload
def get(name: str, kind: Literal["labels"] = "labels") -> Writer[Findings, Summary]: ...


@overload
def get(name: str, kind: Literal["mismatch"]) -> Writer[MismatchFindings, MismatchSummary]: ...


@overload
def get(name: str, kind: Literal["explanation"]) -> Writer[ExplanationFindings, ExplanationSummary]: ...


@overload
def get(name: str, kind: Literal["vulnerability"]) -> Writer[VulnerabilityFindings, VulnerabilitySummary]: ...


@overload
def get(name: str, kind: Literal["check"]) -> Writer[Verdict, Surroundings]: ...


@overload
def get(name: str, kind: Kind) -> Writer[Any, Any]: ...


def get(name: str, kind: Kind = "labels") -> Writer[Any, Any]:
    """Return the writer of a format; it is imported now, not before.

    Parameters
    ----------
    name : str
    kind : {"labels", "mismatch", "explanation", "vulnerability", "check"}
        Of the findings that it is to write.

    Returns
    -------
    Writer

    Raises
    ------
    SettingError
        If there is no such format, or another package's entry point does not lead to a `Writer`.
    """
    if name in _built_in(kind):
        if kind == "check" and name not in MAPPINGS:
            writer = import_module("dataaudit.writers.verdict").WRITERS[name]
        else:
            writer = import_module(f"dataaudit.writers.{_MODULES[kind]}{name}").WRITER
    elif entry := _others(kind).get(name):
        try:
            writer = entry.load()
        except (ImportError, AttributeError) as error:
            raise SettingError(f"format {name!r} cannot be loaded from {entry.value}: {error}") from error
    else:
        close = closest(name, names(kind))
        hint = f"did you mean {close!r}?" if close else f"the formats are {', '.join(names(kind))}"
        raise SettingError(f"there is no format {name!r}", hint)
    if not isinstance(writer, Writer):
        raise SettingError(f"format {name!r} is no dataaudit.writers.Writer: got {type(writer).__name__}")
    return writer


def _built_in(kind: Kind) -> tuple[str, ...]:
    return CHECK if kind == "check" else BUILT_IN


def _others(kind: Kind) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=_GROUPS[kind])}
