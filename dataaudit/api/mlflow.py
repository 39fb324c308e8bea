"""Results in MLflow: findings and page as artefacts of a run, counts as its metrics."""

from __future__ import annotations

import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dataaudit.errors import SettingError

if TYPE_CHECKING:
    from dataaudit.api.audits import Result
    from dataaudit.findings.redact import Level


def log_mlflow(result: Result, *, name: str = "", redact: Level = "none") -> str:
    """Log the result of an audit to MLflow: findings and page as artefacts, counts as metrics.

    Parameters
    ----------
    result : LabelAudit, MismatchAudit, Explanation or Vulnerability
        What an audit returned.
    name : str
        Folder of the artefacts, and prefix of the metrics; by default the kind of audit, such as "labels".
    redact : {"none", "cells", "all"}
        What the page withholds, as in `write`. The tables next to it are whole.

    Returns
    -------
    str
        Id of the run: the active one, else a new one, which is ended.

    Raises
    ------
    SettingError
        If MLflow is not installed.

    Examples
    --------
    >>> with mlflow.start_run():
    ...     audit = dataaudit.audit_labels("mail.parquet", label="label", text="text")
    ...     dataaudit.log_mlflow(audit)
    """
    try:
        import mlflow
    except ImportError as error:
        raise SettingError("MLflow is not installed", "pip install 'dataaudit[mlflow]'") from error
    provenance = result.tables.provenance
    folder = name or provenance.KIND
    active = mlflow.active_run()
    run = active or mlflow.start_run()
    try:
        with TemporaryDirectory() as made:
            mlflow.log_artifacts(str(result.write(Path(made) / folder, redact=redact)), artifact_path=folder)
        numbers = {f"{folder}.{key}": value for key, value in counts(result.tables).items()}
        mlflow.log_metrics(numbers)
        mlflow.set_tags({f"{folder}.run": provenance.run_id, f"{folder}.dataaudit": provenance.version})
    finally:
        if active is None:
            mlflow.end_run()
    return str(run.info.run_id)


def counts(tables: Any) -> dict[str, float]:
    """Return the numbers of an audit by which runs compare; those that are not known are left out."""
    p, failed = tables.provenance, float((~tables.health["ok"]).sum())
    match p.KIND:
        case "labels":
            low_high = p.count[1:] if p.has_interval else (math.nan, math.nan)
            found = dict(zip(("expected", "low", "high"), (p.count[0], *low_high), strict=True))
            found |= {"rows": p.n_rows, "loo_loss": tables.labels["loo_loss"].mean()}
        case "mismatch":
            found = {"errors": p.n_errors, "train_loss": p.train_loss, "test_loss": p.test_loss}
            found |= {"findings": (tables.findings["severity"] != "note").sum(), "test_rows": p.n_test}
        case "explanation":
            found = {"probability": p.probability, "loss": p.loss}
        case _:
            found = {f"flipped_by_{row['rows']}": row["share"] for row in tables.shares.rows(named=True)}
    found["failed_checks"] = failed
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}
