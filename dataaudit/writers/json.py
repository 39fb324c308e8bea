"""JSON for programs: one document with the answer, all tables and the provenance, or one table as JSON lines.

The document has, whatever the kind: ``verdict`` (headline and sentences), ``next_commands``, ``provenance``,
and each table of the findings by its name, as a list of objects. Cells keep their exact text; numbers that
are not finite are null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, TextIO

from dataaudit.escape import json_text
from dataaudit.findings.record import plain
from dataaudit.report.blocks import Report, Writer
from dataaudit.report.blocks import plain as words_of

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.findings.tables import Tables

_WRAPPED: Final = ("labels", "mismatch")  # kinds whose answer is an object of its own: `jq .summary.verdict`
_ROWS: Final = 20_000  # a chunk's rows: about 10 MB of text


def document(findings: Tables, report: Report) -> Iterator[str]:
    """Yield one JSON document, some rows of a table at a time."""
    answer = {
        "kind": report.kind,
        "next_commands": [{"purpose": purpose, "command": command} for purpose, command in report.commands],
        "provenance": report.provenance,
        "verdict": {"headline": report.headline, "sentences": [words_of(said) for said in report.sentences]},
    }
    yield one_line({"summary": answer} if report.kind in _WRAPPED else answer)[:-1]
    for name in sorted(findings.SCHEMAS):
        yield f',\n"{name}": ['
        for at, chunk in enumerate(lines(getattr(findings, name))):
            yield ",\n" if at else "\n"
            yield chunk.rstrip("\n").replace("\n", ",\n")  # a newline inside a cell is \\n, two characters
        yield "\n]"
    yield "}\n"


def lines(table: pl.DataFrame) -> Iterator[str]:
    """Yield a table as JSON lines, some rows at a time; numbers that are not finite become null."""
    import polars as pl  # noqa: PLC0415 - a verdict that is known is written without it
    import polars.selectors as cs  # noqa: PLC0415 - the same

    real = cs.float()
    finite = table.with_columns(pl.when(real.is_finite()).then(real).otherwise(None).name.keep())
    for part in finite.iter_slices(_ROWS):
        buffer = BytesIO()
        part.write_ndjson(buffer)
        yield json_text(buffer.getvalue().decode())


def one_line(value: Any) -> str:
    """Return JSON in one line, sorted by key."""
    return json_text(json.dumps(plain(value), ensure_ascii=False, allow_nan=False, sort_keys=True))


def _write(findings: Tables, report: Report, out: TextIO) -> None:
    out.writelines(document(findings, report))


def _write_lines(findings: Tables, report: Report, out: TextIO) -> None:
    if isinstance(report.records, str):
        out.writelines(lines(getattr(findings, report.records)))
    else:
        out.writelines(one_line(record) + "\n" for record in report.records)


WRITERS: Final = {
    "json": Writer("json", ".json", "one document: the answer and all tables", _write),
    "jsonl": Writer("jsonl", ".jsonl", "one row, change or finding a line", _write_lines),
}
