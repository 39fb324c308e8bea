"""``audit report``: findings as a page or another file; ``audit export``: ranked rows for labelling tools."""

from __future__ import annotations

import dataclasses
import io
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

from dataaudit.cli.bridge import OUTPUT, Arg, command
from dataaudit.cli.output import RedactAnew, require_kept
from dataaudit.cli.progress import Progress
from dataaudit.errors import SettingError, WriteError
from dataaudit.options import RANKING, Opt

if TYPE_CHECKING:
    from dataaudit.findings.schemas import AnyFindings, Findings
    from dataaudit.writers.base import Kind


SUFFIXES: Final = {
    ".html": "html",
    ".htm": "html",
    ".md": "markdown",
    ".markdown": "markdown",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
}
STDOUT: Final = Path("-")
_ELSEWHERE: Final = "name a folder that you may write to"

Folder = Annotated[Path, Arg("What an audit wrote with --out.", metavar="FOLDER")]
Out = Annotated[
    Path | None,
    Opt(
        "report.html, report.md for a pull request's comment, .json, .jsonl, .txt; - for stdout.",
        OUTPUT,
        metavar="FILE",
        flags="--out -o",
        shown="FOLDER/report.html",
    ),
]
HtmlDir = Annotated[
    Path | None,
    Opt(
        "report.html, report.css and report.js, for servers that forbid style and script inside a page.",
        OUTPUT,
        metavar="SITE",
    ),
]
Format = Annotated[
    str | None,
    Opt(
        "html, markdown, json, jsonl, text, console.",
        OUTPUT,
        metavar="NAME",
        shown="by FILE's suffix; markdown on stdout",
    ),
]


@command()
def report(
    folder: Folder = Path("audit-findings"),
    *,
    out: Out = None,
    html_dir: HtmlDir = None,
    format: Format = None,  # noqa: A002 - the option is called --format
    redact: RedactAnew = None,
    progress: Progress,
) -> None:
    """Write findings of any kind anew: a page, Markdown, or a site of three files. Nothing is computed."""
    target = folder / f"report{_suffix(format)}" if out is None and html_dir is None else out
    name = _format(target, format) if target is not None else "html"
    from dataaudit.files import require_folder, require_writable
    from dataaudit.findings.redact import level_of
    from dataaudit.findings.schemas import read_findings

    findings = read_findings(folder)
    site = [html_dir / name for name in ("report.html", "report.css", "report.js")] if html_dir else []
    require_kept(findings, folder, [*site, *([target] if target else [])])
    withheld = redact or level_of(findings)
    if target not in (None, STDOUT):
        require_writable(target, what="the report", hint=_ELSEWHERE)
    if html_dir is not None:
        require_folder(html_dir, hint="name another one with --html-dir")
    with progress:
        written = []
        if target is not None:
            written += _write(findings, target, name=name, redact=withheld, folder=folder)
        if html_dir is not None:
            written.append(_site(findings, html_dir, redact=withheld, findings_folder=folder))
        progress.close(place("report", path, withheld) for path in written)


def place(noun: str, path: Path, redact: str) -> str:
    """Say where something was written, unless paths are withheld."""
    return f"The {noun} is written." if redact == "all" else f"The {noun} is {path.as_posix()}"


def _suffix(asked: str | None) -> str:
    """Return how the file of a format ends: text in report.html would be in the place of the page."""
    return next((suffix for suffix, name in SUFFIXES.items() if name == (asked or "html")), f".{asked}")


def _format(target: Path, asked: str | None) -> str:
    """Return the format of a file."""
    if asked is not None:
        return asked
    if target == STDOUT:
        return "markdown"
    name = SUFFIXES.get(target.suffix.lower())
    if name is None:
        what = f"{target.name} does not say which format it is to have: got suffix {target.suffix!r}"
        raise SettingError(what, "end it in .html, .md, .json, .jsonl or .txt, or add --format")
    return name


def _text(findings: AnyFindings, name: str, *, redact: str, folder: Path) -> str:
    from dataaudit.report import shown
    from dataaudit.writers import get

    writer, out = get(name, cast("Kind", findings.provenance.KIND)), io.StringIO()
    tables, report = shown(findings, redact, folder=folder.as_posix())
    writer.write(tables, report, out)
    return out.getvalue()


def _write(findings: AnyFindings, target: Path, *, name: str, redact: str, folder: Path) -> list[Path]:
    """Write one file, whole or not at all, or stdout; return the file."""
    text = _text(findings, name, redact=redact, folder=folder)
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return []
    from dataaudit.files import write_page

    return [write_page(text, target)]


def _site(findings: AnyFindings, folder: Path, *, redact: str, findings_folder: Path) -> Path:
    """Write a page and its style and script as files, the page last."""
    from dataaudit.files import write_all
    from dataaudit.writers.html import parted

    parts = parted(_text(findings, "html", redact=redact, folder=findings_folder))
    hint = "name another one with --html-dir"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"folder {folder.as_posix()} cannot be made: {error.strerror or error}"
        raise WriteError(what, hint) from error
    files = {folder / name: text for name, text in parts.items()}
    write_all(dict(files), what="the report", hint=hint)
    return list(files)[-1]


To = Annotated[
    Literal["labelstudio", "argilla", "csv"],
    Opt("Label Studio's tasks, Argilla's records, or CSV in which no cell is a formula.", OUTPUT),
]
ExportFile = Annotated[Path, Opt("The file; - for stdout.", OUTPUT, flags="--out -o")]
Top = Annotated[
    int | None,
    Opt("The first rows of the ranking.", RANKING, shown="rows whose cells are known; csv: all", least=1),
]


@command(OUTPUT)
def export(
    folder: Folder = Path("audit-findings"),
    *,
    to: To,
    out: ExportFile = STDOUT,
    top: Top = None,
    redact: RedactAnew = None,
    progress: Progress,
) -> None:
    """Write the ranked rows with their suggested labels for Label Studio, Argilla or a spreadsheet."""
    from dataaudit.files import require_writable
    from dataaudit.findings.record import NOUNS
    from dataaudit.findings.redact import level_of
    from dataaudit.findings.schemas import Findings, read_findings
    from dataaudit.report import shown
    from dataaudit.writers.exports import WRITERS, label_studio_setup

    found = read_findings(folder)
    require_kept(found, folder, [out, _setup_path(out)] if to == "labelstudio" else [out])
    if not isinstance(found, Findings):
        held = NOUNS[found.provenance.KIND]
        what = f"{folder.as_posix()} holds {held}, which has no suspect labels to export"
        raise SettingError(what, "name the folder of audit labels")
    for path in [] if out == STDOUT else [out, *([_setup_path(out)] if to == "labelstudio" else [])]:
        require_writable(path, what="the export", hint=_ELSEWHERE)
    known, every = _known(found), found.labels.height
    asked = top or (every if to == "csv" else known)
    rows = min(asked, every if to == "csv" else known)
    text = io.StringIO()
    first = dataclasses.replace(found, labels=found.labels.head(rows))
    tables, report = shown(first, redact, top=0)
    WRITERS[to].write(tables, report, text)
    setup = label_studio_setup(tables) if to == "labelstudio" and isinstance(tables, Findings) else ""
    withheld = redact or level_of(found)
    said = _counted(rows, asked, known=known if withheld == "none" else None)
    if out == STDOUT:
        sys.stdout.write(text.getvalue())
        sys.stdout.flush()
    else:
        said += _write_export(out, text.getvalue(), setup, redact=withheld)
    progress.close([*said, *_next(to, out, setup, folder=folder)])


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


def _write_export(out: Path, text: str, setup: str, *, redact: str) -> list[str]:
    """Write the file, and the labelling setup next to it."""
    from dataaudit.files import write_all

    also = {_setup_path(out): setup} if setup else {}
    write_all({**also, out: text}, what="the export", hint=_ELSEWHERE)
    return [place("export", out, redact), *(place("labelling setup", path, redact) for path in also)]


def _next(to: str, out: Path, setup: str, *, folder: Path) -> list[str]:
    """Say what to do with the file, and how decisions come back."""
    if to == "labelstudio":
        shown = [f"Its labelling setup: {setup}"] if out == STDOUT else []
        use = "In Label Studio: make a project, paste the setup as its code, import the file."
        return [*shown, use, f"Its export as JSON or CSV comes back by: {_back('export.json', folder)}"]
    if to == "argilla":
        use = (
            "In Argilla: dataset.records.from_json(FILE), with a text field text and a label question label."
        )
        return [use, f"dataset.records.to_json(FILE) comes back by: {_back('export.json', folder)}"]
    back = _back(out.as_posix() if out != STDOUT else "rows.csv", folder)
    return [f"With the right class in a new column new_label it comes back by: {back}"]


def _back(file: str, folder: Path) -> str:
    """Return the command that takes over what people decided."""
    return shlex.join(["audit", "import", file, folder.as_posix()])
