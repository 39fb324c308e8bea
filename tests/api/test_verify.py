"""Findings on disk are proved by refits; other data, and predictions that do not come out again, are said."""

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.cli import main
from dataaudit.errors import DataError, SettingError
from dataaudit.findings.schemas import Findings, MismatchFindings


def patients(n, seed, *, children=0, ill=0):
    random = np.random.default_rng(seed)
    age = np.where(np.arange(n) < children, "child", random.choice(["young", "old"], n))
    x = random.normal(size=n)
    y = random.random(n) < 1 / (1 + np.exp(1.0 - 2 * x))
    y[:children] = np.arange(children) < ill
    return pl.DataFrame({"age": age, "x": x, "y": np.where(y, "ill", "well")})


@pytest.fixture
def labels(tmp_path):
    """A table, and the folder of its audit."""
    path = tmp_path / "rows.csv"
    patients(300, 0).write_csv(path)
    return path, dataaudit.audit_labels(path, label="y", verify=2, top=5).write(tmp_path / "out")


@pytest.fixture(scope="module")
def mismatch(tmp_path_factory):
    """Two tables, and the folder of their audit."""
    folder = tmp_path_factory.mktemp("mismatch")
    paths = folder / "train.parquet", folder / "test.parquet"
    patients(800, 0, children=5, ill=4).write_parquet(paths[0])
    patients(900, 1, children=60).write_parquet(paths[1])
    audit = dataaudit.audit_mismatch(*paths, label="y", l2=1e-4, prove=1, verify=2)
    return paths, audit.write(folder / "out")


def test_labels_are_refitted_and_the_folder_renewed(labels):
    _, folder = labels
    before = Findings.read(folder)
    proof = dataaudit.verify(folder, top=7)
    assert (len(proof.refits), proof.reproduced) == (14, True)
    assert proof.refits["what"].unique(maintain_order=True).to_list() == before.labels["row_id"][:7].to_list()
    assert proof.agreement.slope == pytest.approx(1, abs=0.1)
    assert proof.spearman > 0.99
    after = Findings.read(folder)
    assert (len(before.verification), len(after.verification)) == (2, 14)
    assert after.provenance.run_id == before.provenance.run_id
    assert after.labels.equals(before.labels)
    assert "over 14 refits" in after.health.filter(check="verification")["message"][0]
    assert "14 true refits" in (folder / "report.html").read_text(encoding="utf-8")


def test_other_data_are_refused(labels):
    path, folder = labels
    with path.open("a") as file:
        file.write("old,0.5,ill\n")
    with pytest.raises(DataError, match=r"rows\.csv has changed since it was audited"):
        dataaudit.verify(folder)
    assert len(Findings.read(folder).verification) == 2


def test_data_that_moved_are_named(labels, tmp_path):
    path, folder = labels
    moved = path.rename(tmp_path / "moved.csv")
    with pytest.raises(dataaudit.UnreadableFile, match="no such file"):
        dataaudit.verify(folder, top=1)
    assert len(dataaudit.verify(folder, moved, top=1).refits) == 2


def test_a_frame_must_be_given_again(tmp_path):
    frame = patients(200, 2)
    folder = dataaudit.audit_labels(frame, label="y", verify=0, top=3).write(tmp_path)
    with pytest.raises(DataError, match="of data that came from no file"):
        dataaudit.verify(folder)
    assert dataaudit.verify(folder, frame, top=2).reproduced
    with pytest.raises(DataError, match="has changed"):
        dataaudit.verify(folder, patients(200, 3))


def test_findings_and_traces_of_a_mismatch_are_refitted(mismatch):
    _, folder = mismatch
    proof = dataaudit.verify(folder, top=5)
    assert proof.reproduced
    kinds = proof.refits["what"].str.starts_with("finding ")
    assert kinds.any()
    assert (~kinds).sum() == 5
    removed = proof.refits.filter(kinds & (pl.col("change") == "remove"))
    assert removed["predicted"].to_list() == pytest.approx(removed["measured"].to_list(), rel=0.1)
    assert len(MismatchFindings.read(folder).verification) == 5


def test_one_table_that_was_split_is_split_again(tmp_path):
    path = tmp_path / "all.csv"
    patients(900, 4).write_csv(path)
    audit = dataaudit.audit_mismatch(path, label="y", test_size=0.4, l2=1e-3, prove=0, verify=0)
    assert dataaudit.verify(audit.write(tmp_path / "out"), top=3).reproduced


def test_predictions_that_do_not_come_out_again_are_said(labels, capsys):
    _, folder = labels
    table = pl.read_parquet(folder / "labels.parquet")
    table.with_columns(pl.col("delta_loss_if_removed") + 0.5).write_parquet(folder / "labels.parquet")
    assert main(["verify", str(folder), "--top", "2"]) == 1
    assert "did not come out again: off by up to 0.5 nats" in capsys.readouterr().err


def test_command(labels, capsys):
    _, folder = labels
    assert main(["verify", str(folder), "--top", "3", "--format", "jsonl"]) == 0
    said = capsys.readouterr()
    assert pl.read_ndjson(said.out.encode()).columns == ["what", "change", "predicted", "measured"]
    assert "Predicted against measured over 6 true refits" in said.err
    assert max(map(len, said.err.splitlines())) <= 100


@pytest.mark.parametrize(
    ("name", "words"), [("absent", "is not a folder of findings"), ("empty", "it lacks provenance.json")]
)
def test_folders_without_findings(tmp_path, capsys, name, words):
    (tmp_path / "empty").mkdir()
    assert main(["verify", str(tmp_path / name)]) == 2
    assert words in capsys.readouterr().err


def test_nothing_to_refit(labels):
    with pytest.raises(SettingError, match="top must be 1 or more"):
        dataaudit.verify(labels[1], top=0)
