"""``audit labels``: which labels are most likely wrong.

``audit explain``: why one prediction is what it is.

``audit mismatch``: why predictions on test rows are wrong.

``audit verify``: retrain without the rows that findings speak of, and compare.

``audit vulnerability``: how few training cells, changed how little, flip test predictions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

import typer

from dataaudit.cli import bridge
from dataaudit.cli.progress import Talk
from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from rich.table import Table

    from dataaudit.audits.rerun import Rerun


def labels(
    context: typer.Context,
    sources: bridge.Sources = None,
    *,
    label: bridge.Label,
    sql: bridge.Sql = None,
    query: bridge.QueryText = None,
    text: bridge.Text = None,
    features: bridge.Features = None,
    exclude: bridge.Exclude = None,
    categorical: bridge.Categorical = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    weight: bridge.Weight = None,
    text_features: bridge.TextFeatures = "tfidf",
    model: bridge.Model = "logistic",
    basis: bridge.Basis = "auto",
    l2: bridge.L2 = None,
    solver: bridge.Factor = "auto",
    damping: bridge.Damping = 0.0,
    seed: bridge.Seed = 0,
    rank: bridge.Rank = "auto",
    top: bridge.Top = 100,
    verify: bridge.Verify = 12,
    out: bridge.Out = Path("audit-findings"),
    format: bridge.Format = None,  # noqa: A002 - the option is called --format
    redact: bridge.Redact = "none",
    quiet: bridge.Quiet = 0,
    verbose: bridge.Verbose = False,
    color: bridge.Color = "auto",
) -> None:
    """Rank rows by how likely their label is wrong; show evidence, and refits as proof."""
    from dataaudit.api.audits import audit_labels
    from dataaudit.cli.output import prepare
    from dataaudit.data.paths import files_meant

    source = bridge.source(sources, sql=sql, query=query)
    results = prepare(out, format, redact=redact, sources=files_meant([source], label))
    with Talk(quiet=quiet, verbose=verbose, color=color) as talk:
        audit = audit_labels(
            source,
            label=label,
            text=bridge.names(text),
            features=bridge.names(features),
            exclude=bridge.names(exclude),
            categorical=bridge.names(categorical),
            id=id,
            weight=weight,
            text_features=text_features,
            model=model,
            basis=basis,
            l2=l2,
            solver=solver,
            damping=damping,
            rank=rank,
            verify=verify,
            top=top,
            seed=seed,
            command=context.obj,
            on_step=talk.step,
        )
        audit.write(out, redact=redact)
    talk.conclude(results.emit(audit.findings, top=top))


Test = Annotated[
    str | None,
    typer.Argument(
        metavar="TEST",
        show_default=False,
        help="Test rows, the same. A row without a label is explained for its predicted class.",
    ),
]
Explained = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="logistic; for two classes also svm and rbf-svm, support vector machines.",
        rich_help_panel="Model",
    ),
]
Versus = Annotated[
    str | None,
    typer.Option(
        "--versus",
        metavar="NAME",
        help="Compare with this model: influence against distance, the rows behind each.",
        rich_help_panel="Model",
    ),
]


def explain(
    context: typer.Context,
    train: bridge.Train,
    test: Test = None,
    *,
    label: bridge.Label,
    row: bridge.Row = None,
    row_id: bridge.RowId = None,
    text: bridge.Text = None,
    features: bridge.Features = None,
    exclude: bridge.Exclude = None,
    categorical: bridge.Categorical = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    split_column: bridge.SplitColumn = None,
    test_size: bridge.TestSize = None,
    text_features: bridge.TextFeatures = "tfidf",
    model: Explained = "logistic",
    versus: Versus = None,
    basis: bridge.Basis = "linear",
    l2: bridge.L2 = None,
    seed: bridge.Seed = 0,
    top: bridge.Behind = 10,
    show_components: bridge.Components = False,
    flip: bridge.Flip = None,
    out: bridge.Out = Path("audit-explanation"),
    format: bridge.Format = None,  # noqa: A002 - the option is called --format
    redact: bridge.Redact = "none",
    quiet: bridge.Quiet = 0,
    verbose: bridge.Verbose = False,
    color: bridge.Color = "auto",
) -> None:
    """Explain one prediction: training rows and columns behind it, few rows that flip it, another model."""
    from dataaudit.api.audits import explain as run
    from dataaudit.cli.output import prepare
    from dataaudit.data.paths import files_meant

    sources = files_meant([train, test], label)
    results = prepare(out, format, kind="explanation", redact=redact, sources=sources)
    with Talk(quiet=quiet, verbose=verbose, color=color) as talk:
        found = run(
            train,
            test,
            label=label,
            row=row,
            row_id=row_id,
            split_column=split_column,
            test_size=test_size,
            text=bridge.names(text),
            features=bridge.names(features),
            exclude=bridge.names(exclude),
            categorical=bridge.names(categorical),
            id=id,
            text_features=text_features,
            model=model,
            versus=versus,
            basis=basis,
            l2=l2,
            top=top,
            show_components=show_components,
            flip=flip,
            seed=seed,
            command=context.obj,
            on_step=talk.step,
        )
        found.write(out, redact=redact)
    talk.conclude(results.emit(found.tables))


def mismatch(
    context: typer.Context,
    train: bridge.Train = None,
    test: bridge.Test = None,
    *,
    label: bridge.Label,
    sql: bridge.Sql = None,
    query: bridge.QueryText = None,
    test_sql: bridge.TestSql = None,
    test_query: bridge.TestQuery = None,
    text: bridge.Text = None,
    features: bridge.Features = None,
    exclude: bridge.Exclude = None,
    categorical: bridge.Categorical = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    split_column: bridge.SplitColumn = None,
    test_size: bridge.TestSize = None,
    text_features: bridge.TextFeatures = "tfidf",
    basis: bridge.Basis = "linear",
    l2: bridge.L2 = None,
    solver: bridge.Solver = "auto",
    damping: bridge.Damping = 0.0,
    seed: bridge.Seed = 0,
    rows: bridge.TestRows = None,
    where: bridge.Where = None,
    top: bridge.Partners = 20,
    prove: bridge.Prove = 20,
    memory: bridge.Memory = "1GiB",
    out: bridge.Out = Path("audit-mismatch"),
    format: bridge.Format = None,  # noqa: A002 - the option is called --format
    redact: bridge.Redact = "none",
    quiet: bridge.Quiet = 0,
    verbose: bridge.Verbose = False,
    color: bridge.Color = "auto",
) -> None:
    """Trace wrong predictions back to training rows, slices and columns; prove it by refits."""
    from dataaudit.api.audits import audit_mismatch
    from dataaudit.cli.output import prepare
    from dataaudit.data.paths import files_meant

    bytes_, numbers = bridge.size(memory), bridge.numbers(rows)
    files = [path for path in (train, test) if path is not None]
    known, new = bridge.pair(files, sql=sql, query=query, test_sql=test_sql, test_query=test_query)
    sources = files_meant([known, new], label)
    results = prepare(out, format, kind="mismatch", redact=redact, sources=sources)
    with Talk(quiet=quiet, verbose=verbose, color=color) as talk:
        audit = audit_mismatch(
            known,
            new,
            label=label,
            split_column=split_column,
            test_size=test_size,
            text=bridge.names(text),
            features=bridge.names(features),
            exclude=bridge.names(exclude),
            categorical=bridge.names(categorical),
            id=id,
            text_features=text_features,
            basis=basis,
            l2=l2,
            solver=solver,
            damping=damping,
            rows=numbers,
            where=where,
            k=top,
            prove=prove,
            memory=bytes_,
            seed=seed,
            command=context.obj,
            on_step=talk.step,
        )
        audit.write(out, redact=redact)
    talk.conclude(results.emit(audit.tables))


SHOWN = 20
NOT_CONFIRMED = 1

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", show_default=False, help="What audit labels or audit mismatch wrote with --out."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", metavar="SOURCE", help="Where the data are now, if they moved.", rich_help_panel="Input"
    ),
]
Test_verify = Annotated[
    str | None,
    typer.Option("--test", metavar="SOURCE", help="Where the test rows are now.", rich_help_panel="Input"),
]
Top = Annotated[
    int,
    typer.Option(
        "--top", min=1, metavar="N", help="Rows (and findings) to refit.", rich_help_panel="Ranking"
    ),
]
Format = Annotated[
    Literal["jsonl", "csv"] | None,
    typer.Option(
        "--format",
        show_default="nothing",
        help="Also write every refit to stdout.",
        rich_help_panel="Output",
    ),
]


def verify(
    folder: Folder = Path("audit-findings"),
    *,
    data: Data = None,
    test: Test_verify = None,
    top: Top = 50,
    format: Format = None,  # noqa: A002 - the option is called --format
    quiet: bridge.Quiet = 0,
    color: bridge.Color = "auto",
) -> int:
    """Retrain without the rows that findings speak of, and compare with what was predicted.

    Exits with 1 if the predictions do not come out again, or the refits do not confirm them.
    """
    from dataaudit.api.audits import verify as run

    with Talk(quiet=quiet, color=color) as talk:
        done = run(folder, data, test=test, top=top, on_step=talk.step)
    if format == "jsonl":
        sys.stdout.write(done.refits.write_ndjson())
    elif format == "csv":
        sys.stdout.write(done.refits.write_csv())
    sys.stdout.flush()
    if quiet < 2:  # noqa: PLR2004 - as everywhere, -qq says nothing
        talk.console.print(_table(done))
        for sentence in _outcome(done, folder):
            talk.say(sentence)
    return 0 if done.reproduced and not _failed(done) else NOT_CONFIRMED


def _table(done: Rerun) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from dataaudit.escape import line

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("changed", overflow="fold")
    table.add_column("how", no_wrap=True)
    table.add_column("predicted", justify="right", no_wrap=True)
    table.add_column("measured", justify="right", no_wrap=True)
    for what, change, predicted, measured in done.refits.head(SHOWN).iter_rows():
        table.add_row(
            Text(line(what, 160)), Text(change), Text(f"{predicted:+.4f}"), Text(f"{measured:+.4f}")
        )
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


_PANEL: Final = "Attack"
Test_vulnerability = Annotated[
    str | None,
    typer.Argument(metavar="TEST", show_default=False, help="Test rows, the same; they need their labels."),
]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row",
        metavar="N",
        help="Attack this test row, from 0. Repeatable, or 1,2,3.",
        show_default="a sample",
        rich_help_panel=_PANEL,
    ),
]
Tests = Annotated[
    int,
    typer.Option(
        "--tests",
        min=1,
        metavar="N",
        help="Correctly predicted test rows in the sample.",
        rich_help_panel=_PANEL,
    ),
]
Within = Annotated[
    float,
    typer.Option(
        "--within",
        metavar="SHARE",
        help="How far a number may move: a share of its column's interquartile range.",
        rich_help_panel=_PANEL,
    ),
]
Swaps = Annotated[
    int,
    typer.Option(
        "--swaps",
        min=0,
        metavar="N",
        help="Category cells that may change in a training row.",
        rich_help_panel=_PANEL,
    ),
]
Words = Annotated[
    int,
    typer.Option(
        "--words",
        min=0,
        metavar="N",
        help="Words of a text that may be removed or added.",
        rich_help_panel=_PANEL,
    ),
]
Perturbed = Annotated[
    Path | None,
    typer.Option(
        "--write-perturbed",
        metavar="FILE",
        show_default="nothing",
        help="With one --row: the training data as changed (.parquet, .csv, .ndjson).",
        rich_help_panel="Output",
    ),
]


def vulnerability(
    context: typer.Context,
    train: bridge.Train,
    test: Test_vulnerability = None,
    *,
    label: bridge.Label,
    row: Rows = None,
    tests: Tests = 20,
    within: Within = 0.1,
    swaps: Swaps = 1,
    words: Words = 3,
    text: bridge.Text = None,
    features: bridge.Features = None,
    exclude: bridge.Exclude = None,
    categorical: bridge.Categorical = None,
    id: bridge.Id = None,  # noqa: A002 - the option is called --id
    split_column: bridge.SplitColumn = None,
    test_size: bridge.TestSize = None,
    text_features: bridge.TextFeatures = "tfidf",
    basis: bridge.Basis = "linear",
    l2: bridge.L2 = None,
    seed: bridge.Seed = 0,
    out: bridge.Out = Path("audit-vulnerability"),
    write_perturbed: Perturbed = None,
    format: bridge.Format = None,  # noqa: A002 - the option is called --format
    redact: bridge.Redact = "none",
    quiet: bridge.Quiet = 0,
    verbose: bridge.Verbose = False,
    color: bridge.Color = "auto",
) -> None:
    """See how few training cells, changed how little, flip test predictions; who would have noticed."""
    from dataaudit.api.audits import checked_path
    from dataaudit.api.audits import vulnerability as run
    from dataaudit.cli.output import prepare
    from dataaudit.data.paths import files_meant

    sources, numbers = list(files_meant([train, test], label)), bridge.numbers(row, "--row")
    results = prepare(out, format, kind="vulnerability", redact=redact, sources=sources)
    if write_perturbed is not None:
        checked_path(write_perturbed, sources)
        if len(numbers) != 1:
            raise SettingError("--write-perturbed writes one attack's data", "name one test row by --row N")
    with Talk(quiet=quiet, verbose=verbose, color=color) as talk:
        found = run(
            train,
            test,
            label=label,
            rows=numbers,
            tests=tests,
            within=within,
            swaps=swaps,
            words=words,
            split_column=split_column,
            test_size=test_size,
            text=bridge.names(text),
            features=bridge.names(features),
            exclude=bridge.names(exclude),
            categorical=bridge.names(categorical),
            id=id,
            text_features=text_features,
            basis=basis,
            l2=l2,
            seed=seed,
            command=context.obj,
            on_step=talk.step,
        )
        found.write(out, redact=redact)
        if write_perturbed is not None:
            found.write_perturbed(write_perturbed)
    talk.conclude(results.emit(found.tables))
