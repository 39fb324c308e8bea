"""``audit mismatch``: why predictions on test rows are wrong."""

from __future__ import annotations

from pathlib import Path

import typer

from dataaudit.cli import database, options
from dataaudit.cli.talk import Talk


def mismatch(
    context: typer.Context,
    train: options.Train = None,
    test: options.Test = None,
    *,
    label: options.Label,
    sql: database.Sql = None,
    query: database.QueryText = None,
    test_sql: database.TestSql = None,
    test_query: database.TestQuery = None,
    text: options.Text = None,
    features: options.Features = None,
    exclude: options.Exclude = None,
    categorical: options.Categorical = None,
    id: options.Id = None,  # noqa: A002 - the option is called --id
    split_column: options.SplitColumn = None,
    test_size: options.TestSize = None,
    text_features: options.TextFeatures = "tfidf",
    basis: options.Basis = "linear",
    l2: options.L2 = None,
    solver: options.Solver = "auto",
    damping: options.Damping = 0.0,
    seed: options.Seed = 0,
    rows: options.TestRows = None,
    where: options.Where = None,
    top: options.Partners = 20,
    prove: options.Prove = 20,
    memory: options.Memory = "1GiB",
    out: options.Out = Path("audit-mismatch"),
    format: options.Format = None,  # noqa: A002 - the option is called --format
    redact: options.Redact = "none",
    quiet: options.Quiet = 0,
    verbose: options.Verbose = False,
    color: options.Color = "auto",
) -> None:
    """Trace wrong predictions back to training rows, slices and columns; prove it by refits."""
    from dataaudit.api_mismatch import audit_mismatch
    from dataaudit.cli.results import prepare
    from dataaudit.sources.apart import files_meant

    bytes_, numbers = options.size(memory), options.numbers(rows)
    files = [path for path in (train, test) if path is not None]
    known, new = database.pair(files, sql=sql, query=query, test_sql=test_sql, test_query=test_query)
    sources = files_meant([known, new], label)
    results = prepare(out, format, kind="mismatch", redact=redact, sources=sources)
    with Talk(quiet=quiet, verbose=verbose, color=color) as talk:
        audit = audit_mismatch(
            known,
            new,
            label=label,
            split_column=split_column,
            test_size=test_size,
            text=options.names(text),
            features=options.names(features),
            exclude=options.names(exclude),
            categorical=options.names(categorical),
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
