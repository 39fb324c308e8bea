"""Results in MLflow: a real store on disk, read back by MLflow's own client."""

import sys

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.api.mlflow import counts
from dataaudit.errors import SettingError
from dataaudit.findings.schemas import read_findings

RNG = np.random.default_rng(0)
FRAME = pl.DataFrame({"x": RNG.normal(size=120), "z": RNG.normal(size=120)}).with_columns(
    y=pl.when(pl.col("x") + 0.3 * pl.col("z") > 0).then(pl.lit("a")).otherwise(pl.lit("b"))
)
QUICK = {"label": "y", "basis": "linear", "l2": 1e-2}
AUDITS = {
    "labels": lambda: dataaudit.audit_labels(FRAME, top=3, verify=0, **QUICK),
    "mismatch": lambda: dataaudit.audit_mismatch(FRAME[:80], FRAME[80:], prove=0, verify=0, **QUICK),
    "explanation": lambda: dataaudit.explain(FRAME[:80], FRAME[80:], row=3, **QUICK),
    "vulnerability": lambda: dataaudit.vulnerability(FRAME[:80], FRAME[80:], tests=2, **QUICK),
}


@pytest.fixture(scope="module", params=AUDITS)
def result(request):
    return AUDITS[request.param]()


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install '.[dev]'")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    return mlflow


@pytest.mark.filterwarnings("ignore")  # of MLflow's own
def test_findings_and_page_are_artefacts_and_counts_metrics(mlflow, result, tmp_path):
    with mlflow.start_run() as run:
        assert dataaudit.log_mlflow(result) == run.info.run_id
        assert mlflow.active_run() is not None  # it goes on
    client, kind = mlflow.MlflowClient(), result.tables.provenance.KIND
    known = client.get_run(run.info.run_id).data
    assert {name.partition(".")[2]: value for name, value in known.metrics.items()} == counts(result.tables)
    assert known.tags[f"{kind}.run"] == result.tables.provenance.run_id
    there = mlflow.artifacts.download_artifacts(
        run_id=run.info.run_id, artifact_path=kind, dst_path=str(tmp_path)
    )
    assert read_findings(there).provenance.run_id == result.tables.provenance.run_id
    names = {one.path for one in client.list_artifacts(run.info.run_id, kind)}
    assert f"{kind}/report.html" in names


@pytest.mark.filterwarnings("ignore")
def test_without_a_run_one_is_started_and_ended(mlflow):
    audit = AUDITS["labels"]()
    first = dataaudit.log_mlflow(audit, name="before")
    assert mlflow.active_run() is None
    assert "before.expected" in mlflow.MlflowClient().get_run(first).data.metrics
    assert dataaudit.log_mlflow(audit) != first


def test_what_is_not_known_is_no_metric(result):
    found = counts(result.tables)
    assert all(np.isfinite(value) for value in found.values())
    assert found["failed_checks"] == (~result.tables.health["ok"]).sum()


def test_without_mlflow(monkeypatch, result):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(SettingError, match=r"pip install 'dataaudit\[mlflow\]'"):
        dataaudit.log_mlflow(result)
