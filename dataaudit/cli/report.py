"""``audit report``: findings that are there already, as a page, as Markdown, or as a site of three files."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from dataaudit.cli import options
from dataaudit.cli.talk import Talk
from dataaudit.errors import SettingError, WriteError

if TYPE_CHECKING:
    from dataaudit.summary.kinds import AnyFindings
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

Folder = Annotated[
    Path, typer.Argument(metavar="FOLDER", show_default=False, help="What an audit wrote with --out.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        show_default="FOLDER/report.html",
        help="report.html, report.md for a pull request's comment, .json, .jsonl, .txt; - for stdout.",
        rich_help_panel="Output",
    ),
]
HtmlDir = Annotated[
    Path | None,
    typer.Option(
        "--html-dir",
        metavar="SITE",
        help="report.html, report.css and report.js, for servers that forbid style and script inside a page.",
        rich_help_panel="Output",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        show_default="by FILE's suffix; markdown on stdout",
        help="html, markdown, json, jsonl, text, console.",
        rich_help_panel="Output",
    ),
]


def report(
    folder: Folder = Path("audit-findings"),
    *,
    out: Out = None,
    html_dir: HtmlDir = None,
    format: Format = None,  # noqa: A002 - the option is called --format
    redact: options.RedactAnew = None,
    quiet: options.Quiet = 0,
    color: options.Color = "auto",
) -> None:
    """Write findings of any kind anew: a page, Markdown, or a site of three files. Nothing is computed."""
    target = folder / "report.html" if out is None and html_dir is None else out
    name = _format(target, format) if target is not None else "html"
    from dataaudit.cli.results import require_kept
    from dataaudit.summary.kinds import read_findings
    from dataaudit.summary.redaction import policy_of

    findings = read_findings(folder)
    site = [html_dir / name for name in ("report.html", "report.css", "report.js")] if html_dir else []
    require_kept(findings, folder, [*site, *([target] if target else [])])
    withheld = redact or policy_of(findings)
    with Talk(quiet=quiet, color=color) as talk:
        written = []
        if target is not None:
            written += _write(findings, target, name=name, redact=withheld, folder=folder)
        if html_dir is not None:
            written.append(_site(findings, html_dir, redact=withheld, findings_folder=folder))
        if quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
            for path in written:
                talk.say(place("report", path, withheld))


def place(noun: str, path: Path, redact: str) -> str:
    """Say where something was written, unless paths are withheld."""
    return f"The {noun} is written." if redact == "all" else f"The {noun} is {path.as_posix()}"


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
    from dataaudit.summary.redaction import told
    from dataaudit.writers import get

    writer, out = get(name, cast("Kind", findings.provenance.KIND)), io.StringIO()
    tables, summary = told(findings, redact, folder=folder.as_posix())
    writer.write(tables, summary, out)
    return out.getvalue()


def _write(findings: AnyFindings, target: Path, *, name: str, redact: str, folder: Path) -> list[Path]:
    """Write one file, whole or not at all, or stdout; return the file."""
    text = _text(findings, name, redact=redact, folder=folder)
    if target == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return []
    from dataaudit.writers.rendering import write_page

    return [write_page(text, target)]


def _site(findings: AnyFindings, folder: Path, *, redact: str, findings_folder: Path) -> Path:
    """Write a page and its style and script as files, the page last."""
    from dataaudit.writers.rendering import parted, write_page

    parts = parted(_text(findings, "html", redact=redact, folder=findings_folder))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"folder {folder.as_posix()} cannot be made: {error.strerror or error}"
        raise WriteError(what, "name another one with --html-dir") from error
    return [write_page(text, folder / name) for name, text in parts.items()][-1]
