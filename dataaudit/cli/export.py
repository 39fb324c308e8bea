"""``audit export``: the ranked rows for labelling tools and spreadsheets."""

from __future__ import annotations

import dataclasses
import io
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from dataaudit.cli import options
from dataaudit.cli.report import STDOUT, Folder, place
from dataaudit.cli.talk import Talk
from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.findings import Findings

_MODULES: Final = {"labelstudio": "labelstudio", "argilla": "argilla", "csv": "spreadsheet"}

To = Annotated[
    Literal["labelstudio", "argilla", "csv"],
    typer.Option(
        "--to",
        show_default=False,
        help="Label Studio's tasks, Argilla's records, or CSV in which no cell is a formula.",
        rich_help_panel="Output",
    ),
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="FILE", help="The file; - for stdout.", rich_help_panel="Output"),
]
Top = Annotated[
    int | None,
    typer.Option(
        "--top",
        min=1,
        metavar="N",
        show_default="rows whose cells are known; csv: all",
        help="The first rows of the ranking.",
        rich_help_panel="Ranking",
    ),
]


def export(
    folder: Folder = Path("audit-findings"),
    *,
    to: To,
    out: Out = STDOUT,
    top: Top = None,
    redact: options.RedactAnew = None,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Write the ranked rows with their suggested labels for Label Studio, Argilla or a spreadsheet."""
    from dataaudit.cli.results import require_kept
    from dataaudit.findings import Findings
    from dataaudit.folder import NOUNS
    from dataaudit.summary.kinds import read_findings
    from dataaudit.summary.redaction import policy_of, told

    found = read_findings(folder)
    require_kept(found, folder, [out, _setup_path(out)] if to == "labelstudio" else [out])
    if not isinstance(found, Findings):
        held = NOUNS[found.provenance.KIND]
        what = f"{folder.as_posix()} holds {held}, which has no suspect labels to export"
        raise SettingError(what, "name the folder of audit labels")
    known, every = _known(found), found.labels.height
    asked = top or (every if to == "csv" else known)
    rows = min(asked, every if to == "csv" else known)
    writer, text = import_module(f"dataaudit.writers.{_MODULES[to]}"), io.StringIO()
    first = dataclasses.replace(found, labels=found.labels.head(rows))
    writer.WRITER.write(*told(first, redact, top=known), text)
    setup = writer.setup(told(first, redact, top=0)[1]) if to == "labelstudio" else ""
    withheld = redact or policy_of(found)
    said = _counted(rows, asked, known=known if withheld == "none" else None)
    if out == STDOUT:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    else:
        said += _write(out, text.getvalue(), setup, redact=withheld)
    with Talk(quiet=quiet, color=color) as talk:
        for sentence in [*said, *_next(to, out, setup)] if quiet < 2 else ():  # noqa: PLR2004 - -qq says nothing
            talk.say(sentence)


def _known(findings: Findings) -> int:
    """Return how many of the first rows have their cells in the findings."""
    has = findings.labels["row_id"].is_in(findings.cells["row_id"].unique().implode())
    lacking = has.not_().arg_max() if not has.all() else None
    return findings.labels.height if lacking is None else lacking


def _counted(rows: int, asked: int, *, known: int | None) -> list[str]:
    """Say how many rows were written, and of how many the cells are `known`; None where they are withheld."""
    said = f"{rows:,} {'row is' if rows == 1 else 'rows are'} exported, the most suspect first"
    if known is None:
        return [f"{said}; their cells are withheld."]
    if asked <= known:
        return [f"{said}; cells are cut to 600 characters."]
    return [f"{said}; the cells of the first {known:,} are known: see --top of audit labels for more."]


def _setup_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}.config.xml")


def _write(out: Path, text: str, setup: str, *, redact: str) -> list[str]:
    """Write the file, and the labelling setup beside it."""
    from dataaudit.writers.rendering import write_page

    said = []
    if setup:
        beside = write_page(setup, _setup_path(out))
        said.append(place("labelling setup", beside, redact))
    return [place("export", write_page(text, out), redact), *said]


def _next(to: str, out: Path, setup: str) -> list[str]:
    """Say what to do with the file, and how decisions come back."""
    if to == "labelstudio":
        from dataaudit.writers.labelstudio import DECISIONS

        shown = [f"Its labelling setup: {setup}"] if out == STDOUT else []
        back = f"jq -c {shlex.quote(DECISIONS)} export.json > decisions.jsonl"
        return [
            *shown,
            "In Label Studio: make a project, paste the setup as its code, import the file.",
            f"Decisions for audit apply, from an export as JSON: {back}",
        ]
    if to == "argilla":
        return [
            "In Argilla: dataset.records.from_json(FILE), with a text field text and a label question label."
        ]
    return ["Decisions for audit apply are a CSV of their own: row_id,action,label."]
