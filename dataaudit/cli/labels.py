"""``audit labels``: which labels are most likely wrong."""

from __future__ import annotations

from pathlib import Path

import typer

from dataaudit.cli import database, options
from dataaudit.cli.talk import Talk


def labels(
    context: typer.Context,
    sources: options.Sources = None,
    *,
    label: options.Label,
    sql: database.Sql = None,
    query: database.QueryText = None,
    text: options.Text = None,
    features: options.Features = None,
    exclude: options.Exclude = None,
    categorical: options.Categorical = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    weight: options.Weight = None,
    text_features: options.TextFeatures = "tfidf",
    model: options.Model = "logistic",
    basis: options.Basis = "auto",
    l2: options.L2 = None,
    solver: options.Factor = "auto",
    damping: options.Damping = 0.0,
    seed: options.Seed = 0,
    rank: options.Rank = "auto",
    top: options.Top = 100,
    verify: options.Verify = 12,
    out: options.Out = Path("audit-findings"),
    format: options.Format = None,  # noqa: A002 - the option is called --format
    redact: options.Redact = "none",
    quiet: options.Quiet = 0,
    verbose: options.Verbose = False,
    color: options.Color = "auto",
) -> None:
    """Rank rows by how likely their label is wrong; show evidence, and refits as proof."""
    from dataaudit.api import audit_labels
    from dataaudit.cli.results import prepare
    from dataaudit.sources.apart import files_meant

    source = database.source(sources, sql=sql, query=query)
    results = prepare(out, format, redact=redact, sources=files_meant([source], label))
    with Talk(quiet=quiet, verbose=verbose, color=color) as talk:
        audit = audit_labels(
            source,
            label=label,
            text=options.names(text),
            features=options.names(features),
            exclude=options.names(exclude),
            categorical=options.names(categorical),
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
