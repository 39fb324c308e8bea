"""The audits as commands: ``labels``, ``mismatch``, ``explain``, ``vulnerability``, and ``verify``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeVar, get_args

from dataaudit.cli.bridge import OUTPUT, Arg, command
from dataaudit.cli.output import Output
from dataaudit.cli.progress import SILENT, Progress
from dataaudit.cli.sources import Moved, PairSource, Source, Train
from dataaudit.errors import AskTask, SettingError
from dataaudit.escape import block
from dataaudit.options import (
    INPUT,
    RANKING,
    TRACING,
    ExplainOptions,
    LabelOptions,
    MismatchOptions,
    Opt,
    PlanOptions,
    RunOptions,
    TaskName,
    VulnerabilityOptions,
)

if TYPE_CHECKING:
    from rich.table import Table

    from dataaudit.audits.rerun import Rerun

Asked = TypeVar("Asked", bound=Any)
Found = TypeVar("Found")
SHOWN: Final = 20
PAIR: Final = 2  # sources: of training and of test rows
NOT_CONFIRMED: Final = 1
_UNLABELLED = "Test rows, the same. A row without a label is explained for its predicted class."
_LABELLED = "Test rows, the same; they need their labels."
_PERTURBED = "With one --row: the training data as changed (.parquet, .csv, .ndjson)."
_AUDITED = "What audit labels or audit mismatch wrote with --out."
Perturbed = Annotated[Path | None, Opt(_PERTURBED, OUTPUT, shown="nothing", place=-1)]


def asking(run: Callable[[Asked], Found], options: Asked, output: Output) -> Found:
    """Run an audit; where the label may be classes or numbers, ask whoever is there, and run it so."""
    try:
        with output:
            return run(options)
    except AskTask as error:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        output.say(f"{error.what}.")
        known = dict(zip("crn", get_args(TaskName), strict=True))
        task = None
        while task is None:
            output.say("What is it? c classes, r measured numbers (regression), n counts; Ctrl-C to stop.")
            task = known.get(input().strip().lower()[:1])
        said = f"{options.command} --task {task}"  # as it should have been called
        with output:
            return run(replace(options, task=task, command=said))


@command(out=Path("audit-findings"))
def labels(source: Source, options: LabelOptions, output: Output) -> None:
    """Rank rows by how likely their label is wrong; show evidence, and refits as proof."""
    from dataaudit.api.audits import audit_labels
    from dataaudit.data.paths import files_meant

    rows = source.resolved()
    output.prepare("labels", files_meant([rows], options.label))
    audit = asking(
        lambda asked: audit_labels(rows, asked, on_step=output, checkpoint=output.out), options, output
    )
    output.emit(audit, first=options.top)


@command()
def plan(
    source: Source,
    options: PlanOptions,
    *,
    format: Annotated[Literal["text", "json"], Opt("How to write it.", OUTPUT)] = "text",  # noqa: A002 - --format
) -> int:
    """Say what an audit would take: rows, features, memory, time and method, before anything runs.

    Exits with 1 if it does not fit into --memory.
    """
    from dataaudit.api.plan import plan as make

    rows = source.resolved()
    if options.audit != "labels" and isinstance(rows, list) and len(rows) == PAIR:
        found = make(rows[0], rows[1], options)
    else:
        found = make(rows, None, options)
    if format == "json":
        sys.stdout.write(json.dumps(found.to_dict(), ensure_ascii=True, indent=2) + "\n")
    else:
        text = str(found)
        sys.stdout.write(f"{block(text, len(text) + 1)}\n")
    return 0 if found.fits else 1


@command(out=Path("audit-mismatch"))
def mismatch(source: PairSource, options: MismatchOptions, output: Output) -> None:
    """Trace wrong predictions back to training rows, slices and columns; prove it by refits."""
    from dataaudit.api.audits import audit_mismatch
    from dataaudit.data.paths import files_meant

    train, test = source.resolved()
    output.prepare("mismatch", files_meant([train, test], options.label))
    audit = asking(
        lambda asked: audit_mismatch(train, test, asked, on_step=output.step, checkpoint=output.out),
        options,
        output,
    )
    output.emit(audit)


@command(INPUT, TRACING, out=Path("audit-explanation"))
def explain(
    train: Train,
    test: Annotated[str | None, Arg(_UNLABELLED, metavar="TEST")] = None,
    *,
    options: ExplainOptions,
    output: Output,
) -> None:
    """Explain one prediction: training rows and columns behind it, few rows that flip it, another model."""
    from dataaudit.api.audits import explain as run
    from dataaudit.data.paths import files_meant

    output.prepare("explanation", files_meant([train, test], options.label))
    found = asking(lambda asked: run(train, test, asked, on_step=output.step), options, output)
    output.emit(found)


@command(out=Path("audit-vulnerability"))
def vulnerability(
    train: Train,
    test: Annotated[str | None, Arg(_LABELLED, metavar="TEST")] = None,
    *,
    options: VulnerabilityOptions,
    output: Output,
    write_perturbed: Perturbed = None,
) -> None:
    """See how few training cells, changed how little, flip test predictions; who would have noticed."""
    from dataaudit.api.audits import checked_path
    from dataaudit.api.audits import vulnerability as run
    from dataaudit.data.paths import files_meant

    sources = list(files_meant([train, test], options.label))
    output.prepare("vulnerability", sources)
    if write_perturbed is not None:
        checked_path(write_perturbed, sources)
        if len(options.numbers) != 1 and not (options.together and options.numbers):
            raise SettingError("--write-perturbed writes one attack's data", "name one test row by --row N")
    with output:
        found = run(train, test, options, on_step=output.step)
    if write_perturbed is not None:
        found.write_perturbed(write_perturbed)
    output.emit(found)


@command()
def verify(
    folder: Annotated[Path, Arg(_AUDITED, metavar="FOLDER")] = Path("audit-findings"),
    *,
    data: Moved = None,
    test: Annotated[str | None, Opt("Where the test rows are now.", INPUT, metavar="SOURCE")] = None,
    top: Annotated[int, Opt("Rows (and findings) to refit.", RANKING, least=1)] = 50,
    format: Annotated[  # noqa: A002 - the option is called --format
        Literal["jsonl", "csv"] | None, Opt("Also write every refit to stdout.", OUTPUT, shown="nothing")
    ] = None,
    options: RunOptions,
    progress: Progress,
) -> int:
    """Retrain without the rows that findings speak of, and compare with what was predicted.

    Exits with 1 if the predictions do not come out again, or the refits do not confirm them.
    """
    from dataaudit.api.verify import verify as run

    with progress:
        done = run(folder, data, test=test, top=top, memory=options.memory, on_step=progress.step)
    if format is not None:
        sys.stdout.write(done.refits.write_ndjson() if format == "jsonl" else done.refits.write_csv())
        sys.stdout.flush()
    if progress.quiet < SILENT:
        progress.console.print(_table(done))
    progress.close(_outcome(done, folder))
    return 0 if done.reproduced and not _failed(done) else NOT_CONFIRMED


def _table(done: Rerun) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from dataaudit.audits.rerun import ON_TEST
    from dataaudit.escape import line
    from dataaudit.report.words import RowNames

    of_train, of_test = (RowNames.of(done.findings.record, part).one for part in ("train", "test"))
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("changed", overflow="fold")
    table.add_column("how", no_wrap=True)
    table.add_column("predicted", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    for what, change, *losses in done.refits.head(SHOWN).iter_rows():
        train, on, test = what.partition(ON_TEST)
        name = f"{of_train(train)}, test {of_test(test)}" if on else of_train(what)
        table.add_row(Text(line(name, 160)), Text(change), *(Text(f"{loss:+.4f}") for loss in losses))
    return table


def _failed(done: Rerun) -> list[str]:
    """Return what the refits say against the predictions."""
    checks = done.findings.health.filter(ok=False).iter_rows(named=True)
    return [check["message"] for check in checks if check["check"] in ("verification", "proof")]


def _outcome(done: Rerun, folder: Path) -> list[str]:
    """Return the sentences that close the command."""
    found, n = done.agreement, len(done.refits)
    more = [f"The first {SHOWN} of {n:,} refits; changes of loss in nats."] if n > SHOWN else []
    agree = (
        f"Predicted against measured over {n:,} true refits: slope {found.slope:.3f}, "
        f"Pearson {found.pearson:.4f}, Spearman {done.spearman:.4f}."
    )
    again = f"The predictions on disk came out again, to {done.difference:.0e} nats."
    if not done.reproduced:
        again = f"The predictions on disk did not come out again: off by up to {done.difference:.2g} nats."
    return [*more, agree, again, *_failed(done), f"The report is {(folder / 'report.html').as_posix()}"]
