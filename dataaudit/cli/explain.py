"""``audit explain``: why one prediction is what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dataaudit.cli import options
from dataaudit.cli.talk import Talk

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
    train: options.Train,
    test: Test = None,
    *,
    label: options.Label,
    row: options.Row = None,
    row_id: options.RowId = None,
    text: options.Text = None,
    features: options.Features = None,
    exclude: options.Exclude = None,
    categorical: options.Categorical = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    split_column: options.SplitColumn = None,
    test_size: options.TestSize = None,
    text_features: options.TextFeatures = "tfidf",
    model: Explained = "logistic",
    versus: Versus = None,
    basis: options.Basis = "linear",
    l2: options.L2 = None,
    seed: options.Seed = 0,
    top: options.Behind = 10,
    show_components: options.Components = False,
    flip: options.Flip = None,
    out: options.Out = Path("audit-explanation"),
    format: options.Format = None,  # noqa: A002 - the option is called --format
    redact: options.Redact = "none",
    quiet: options.Quiet = 0,
    verbose: options.Verbose = False,
    color: options.Color = "auto",
) -> None:
    """Explain one prediction: training rows and columns behind it, few rows that flip it, another model."""
    from dataaudit.api_explain import explain as run
    from dataaudit.cli.results import prepare
    from dataaudit.sources.apart import files_meant

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
            text=options.names(text),
            features=options.names(features),
            exclude=options.names(exclude),
            categorical=options.names(categorical),
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
