"""Where the results of a command go; asked before the work begins, so that nobody waits for an error."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal

from dataaudit.cli.bridge import OUTPUT
from dataaudit.cli.progress import SILENT, Progress
from dataaudit.errors import WriteError
from dataaudit.options import Opt

if TYPE_CHECKING:
    from dataaudit.api.audits import Result
    from dataaudit.findings.schemas import AnyFindings
    from dataaudit.writers import Writer

_FORMATS = "Also write to stdout: text, markdown, json, jsonl (all rows or findings), html."
_REDACT = (
    "Keep cells, or all names and labels too, out of page, stdout and summary. "
    "The tables in FOLDER stay whole."
)
RedactAnew = Annotated[
    Literal["none", "cells", "all"] | None,
    Opt("Withhold nothing, cells, or all names and labels too.", OUTPUT, shown="as the audit was asked"),
]


class Output(Progress):
    """A folder for the findings, what goes to stdout as well, and what is said on stderr."""

    out: Annotated[
        Path, Opt("Findings and report.", OUTPUT, flags="--out -o", metavar="FOLDER", place=-2)
    ] = Path()
    format: Annotated[str | None, Opt(_FORMATS, OUTPUT, metavar="NAME", shown="nothing")] = None
    redact: Annotated[Literal["none", "cells", "all"], Opt(_REDACT, OUTPUT)] = "none"
    verbose: Annotated[
        bool, Opt("Also columns, settings and time.", OUTPUT, flags="--verbose -v", place=2)
    ] = False

    def prepare(self, kind: str, sources: Iterable[str] = ()) -> Output:
        """Check that results could be written: the folder, other findings there, the sources, the format."""
        from dataaudit.files import require_folder

        folder = self.out
        require_folder(folder, hint="name another one with --out")
        if folder.is_dir():
            from dataaudit.findings.schemas import KINDS
            from dataaudit.findings.tables import require_room

            require_room(folder, kind, tables=KINDS[kind].SCHEMAS, sources=sources)
        self._writer(kind)
        return self

    def _writer(self, kind: Any) -> Writer | None:
        """Return what writes to stdout; None where it stays empty."""
        if self.format is None:
            return None
        from dataaudit.writers import get

        return get(self.format, kind)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if kind is KeyboardInterrupt and any((self.out / ".unfinished").glob("*/*.stage")):
            self.say("interrupted: nothing was left half-written; --resume goes on from here")
            raise SystemExit(130) from error

    def emit(self, audit: Result, *, first: int | None = None) -> None:
        """Write the folder and stdout, and show the summary of the `first` rows."""
        from dataaudit.report import TOP, shown
        from dataaudit.writers.console import show

        with self:
            if self.state.bars is not None:  # a log has the summary as soon as that is over
                self.step("write", 0, 0)
            audit.write(self.out, redact=self.redact)
        findings, folder = audit.tables, self.out.as_posix()
        tables, report = shown(findings, self.redact, top=TOP if first is None else first, folder=folder)
        writer = self._writer(findings.provenance.KIND)
        if writer:
            writer.write(tables, report, sys.stdout)
            sys.stdout.flush()
        if self.quiet < SILENT:
            if self.verbose:
                self._details(report.provenance)
            show(report, self.console)

    def _details(self, provenance: Mapping[str, Any]) -> None:
        for role in provenance["roles"]:
            self.say(f"column {role['column']}: {role['role']} ({role['reason']})")
        for name, value in sorted(provenance["settings"].items()):
            self.say(f"setting {name} = {value}")
        self.say(f"solver: {provenance['solver']} ({provenance['solver_reason']})")
        for stage, (began, ended) in self.state.times.items():
            self.say(f"time for {stage}: {ended - began:.2f} s")


def require_new(target: Path, sources: Iterable[Path], *, force: bool) -> None:
    """Check that a new file could be written and replaces neither a source nor, unless forced, another."""
    from dataaudit.data.paths import require_apart
    from dataaudit.files import require_writable

    require_apart([target], sources, hint="name another file with --out")
    if target.exists() and not force:
        raise WriteError(f"{target.as_posix()} is there already", "name another --out, or add --force")
    require_writable(target)


def require_kept(findings: AnyFindings, folder: Path, targets: Iterable[Path]) -> None:
    """Refuse to write over the findings of a folder, or over the data that they came from."""
    from dataaudit.data.paths import files_read, require_apart
    from dataaudit.findings.tables import PROVENANCE

    kept = [folder / PROVENANCE, *(folder / f"{name}.parquet" for name in findings.SCHEMAS)]
    require_apart(targets, [*kept, *files_read(findings.record)], hint="name another file with --out")
