"""Audits of tables that do not fit in memory against the same in memory."""

import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from threadpoolctl import threadpool_info

from dataaudit import audit_labels
from dataaudit.data import scan, size
from dataaudit.data.dataset import Wanted
from dataaudit.data.paths import find
from dataaudit.data.scratch import Scratch
from dataaudit.errors import AuditError, DataError, SettingError, TooLarge, WriteError
from dataaudit.features import fit_encoding, scanned
from dataaudit.solvers.base import one_thread
from dataaudit.training import encoded, shards, streamed

ASKED = {"label": "label", "top": 5, "verify": 2, "basis": "linear"}


def table(n=800, classes=2, seed=0):
    """Numbers, levels, booleans, dates and missing cells."""
    random = np.random.default_rng(seed)
    number, other, kind = random.standard_normal(n), random.integers(0, 50, n), random.integers(0, 6, n)
    flag = random.random(n) < 0.4
    score = number + other / 25 + (kind == 2) - flag + 0.3 * random.logistic(size=n)
    y = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    y = np.where(random.random(n) < 0.05, (y + 1) % classes, y)
    days = random.integers(0, 700, n).tolist()
    return pl.DataFrame(
        {
            "number": pl.Series(number).round(4).set(pl.Series(random.random(n) < 0.05), None),
            "other": pl.Series(other, dtype=pl.Int32),
            "kind": pl.Series(np.array([f"kind {i}" for i in range(6)])[kind]),
            "flag": flag,
            "when": [date(2020, 1, 1) + timedelta(days=day) for day in days],
            "team": random.integers(0, n // 4, n),
            "weight": random.integers(1, 4, n),
            "name": [f"row {i}" for i in range(n)],
            "label": np.array(["no", "yes", "maybe"])[y],
        }
    )


@pytest.fixture
def on_disk(monkeypatch, tmp_path):
    """Audit twice, in memory and with columns scanned; return both, once it is sure that they were."""
    monkeypatch.setattr(shards, "DENSE_BYTES", 1 << 13)  # several shards
    monkeypatch.setattr(scan, "PIECE", 100)
    monkeypatch.setattr(size, "_SMALL", 10**6)  # no table is small
    monkeypatch.setattr(encoded, "SMALL", 10**6)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def both(source, stage="write features", **asked):
        asked = ASKED | asked
        stages = []
        memory = audit_labels(source, **asked)
        found = audit_labels(
            source, memory=_limit(source, asked), on_step=lambda stage, *_: stages.append(stage), **asked
        )
        assert stage in stages
        assert encoded.ON_DISK in found.tables.provenance.notes
        assert list(tmp_path.glob("dataaudit-*")) == []
        return memory, found

    return both


def _limit(source, asked):
    """Return a limit between what both ways take."""
    files = sorted(Path(source).rglob("*.*")) if Path(source).is_dir() else [source]
    files = [str(file) for file in files if Path(file).is_file()]
    plain = asked["basis"] == "linear"
    found = size.size_of(files, Wanted(asked["label"], id_column=asked.get("id")), limit=0, plain=plain)
    assert found.out_of_core < found.in_memory
    return max(1 << 20, (found.out_of_core + found.in_memory) // 2)


def assert_equal(one, other):
    """Compare an audit in memory with one that was not: scores to 1e-8, or to what a fit leaves of them."""
    near = max(1e-8, 1000 * one.tables.provenance.gradient_norm)
    mine, theirs = (audit.labels.sort("row_id").drop("rank", "rank_self_influence") for audit in (one, other))
    for name, kind in mine.schema.items():
        if kind.is_float():
            assert np.allclose(theirs[name], mine[name], rtol=near, atol=near), name
        else:
            assert theirs[name].equals(mine[name]), name
    # Copies are equal but for rounding, which then decides which comes first.
    again = one.labels.select("row_id", "p_wrong").join(
        other.labels.select("row_id", "rank"), on="row_id", maintain_order="left"
    )
    assert (again.sort("rank")["p_wrong"].diff().drop_nulls() <= near).all()
    for name in ("evidence", "neighbours", "verification", "noise", "sample", "by"):
        mine, theirs = (getattr(audit.tables, name) for audit in (one, other))
        facts = [column for column, kind in mine.schema.items() if not kind.is_float()]
        assert theirs.select(facts).equals(mine.select(facts)), name
    assert other.tables.cells.equals(one.tables.cells)
    assert other.tables.health["ok"].equals(one.tables.health["ok"])
    assert other.tables.provenance.origins == one.tables.provenance.origins


def test_one_file_with_weights(tmp_path, on_disk):
    path = tmp_path / "rows.parquet"
    table(3000).write_parquet(path, row_group_size=250)
    assert_equal(*on_disk(str(path), weight="weight", exclude=["team", "name"]))


def test_three_classes_by_name_with_missing_labels(tmp_path, on_disk):
    path = tmp_path / "rows.parquet"
    rows = table(3000, classes=3, seed=1)
    gone = pl.Series(np.arange(rows.height) % 17 == 3)
    rows = rows.with_columns(label=pl.select(pl.when(~gone).then(rows["label"])).to_series())
    rows.write_parquet(path, row_group_size=400)
    assert_equal(*on_disk(str(path), id="name", exclude=["team", "weight"], by=["kind"]))


def test_several_files_in_folders_one_of_them_empty(tmp_path, on_disk):
    folder = tmp_path / "rows"
    for part in range(3):
        rows = table(1200, seed=part).drop("name", "weight", "team")
        rows = rows.with_columns(pl.col("other").cast(pl.Int64)) if part == 2 else rows
        here = folder / f"part={part}"
        here.mkdir(parents=True)
        rows.write_parquet(here / "a.parquet", row_group_size=300)
    table(10).clear().drop("name", "weight", "team").write_parquet(here / "b.parquet")
    assert_equal(*on_disk(str(folder)))


def test_groups(tmp_path, on_disk):
    path = tmp_path / "rows.parquet"
    rows = table(2400, seed=3)
    rows.write_parquet(path, row_group_size=300)
    one, other = on_disk(str(path), group="team", exclude=["weight", "name"])
    assert_equal(one, other)
    assert (one.labels["group_rows"] > 1).any()


def test_who_mislabels(tmp_path, on_disk):
    path, rows = tmp_path / "rows.parquet", table(2400, seed=8).drop("team", "weight", "name")
    other = rows["label"].replace({"no": "yes", "yes": "no"})
    wrong = (rows["kind"] == "kind 1") & pl.Series(np.random.default_rng(0).random(2400) < 0.4)
    rows = rows.with_columns(label=rows["label"].zip_with(~wrong, other))
    rows.write_parquet(path, row_group_size=300)
    one, other = on_disk(str(path), by=["kind"], exclude=["kind"])
    assert_equal(one, other)
    mine, theirs = (audit.by.filter(pl.col("others_measured").is_not_null()) for audit in (one, other))
    assert mine.height
    assert theirs["others_predicted"].to_list() == pytest.approx(mine["others_predicted"].to_list(), abs=1e-6)
    assert theirs["others_measured"].to_list() == pytest.approx(mine["others_measured"].to_list(), abs=1e-6)


def test_copies(tmp_path, on_disk):
    path = tmp_path / "rows.parquet"
    rows = table(2400, seed=3).drop("team", "weight", "name")
    rows = rows.with_columns(more=np.random.default_rng(0).random(2400), than=np.arange(2400)[::-1] * 0.5)
    rows = rows.with_columns((pl.col("more") * (i + 2)).alias(f"more_{i}") for i in range(3))
    pl.concat([rows, rows.head(40)]).write_parquet(path, row_group_size=300)
    one, other = on_disk(str(path))
    assert_equal(one, other)
    assert (one.labels["copy_rows"] > 1).any()


@pytest.mark.parametrize("suffix", [".csv", ".ndjson", ".arrow"])
def test_other_formats_go_through_a_scratch_table(tmp_path, on_disk, suffix):
    path, rows = tmp_path / f"rows{suffix}", table(4000, seed=4).drop("name", "team", "weight")
    {".csv": rows.write_csv, ".ndjson": rows.write_ndjson, ".arrow": rows.write_ipc}[suffix](path)
    assert_equal(*on_disk(str(path)))


def test_shapes_are_chosen_as_in_memory(tmp_path, on_disk):
    path = tmp_path / "rows.parquet"
    table(1500, seed=5).drop("name", "team", "weight").write_parquet(path, row_group_size=500)
    assert_equal(*on_disk(str(path), basis="spline"))


def test_texts_and_vectors(tmp_path, on_disk):
    path, random = tmp_path / "rows.parquet", np.random.default_rng(6)
    words = [f"word{i}" for i in range(200)]
    rows = table(1200, seed=6).drop("name", "team", "weight", "kind")
    said = [" ".join(random.choice(words, 12).tolist() + [label] * 2) for label in rows["label"]]
    rows.with_columns(said=pl.Series(said)).write_parquet(path, row_group_size=300)
    one, other = on_disk(str(path), stage="choose λ")
    assert_equal(one, other)
    assert "terms" in one.tables.provenance.basis
    vectors = pl.Series(
        "vector", random.standard_normal((1200, 5)) + (rows["label"] == "yes").to_numpy()[:, None]
    )
    rows.with_columns(vectors).write_parquet(path, row_group_size=300)
    assert_equal(*on_disk(str(path)))


def test_what_is_too_small_says_what_it_needs(tmp_path):
    path = tmp_path / "rows.parquet"
    table(3000).write_parquet(path)
    with pytest.raises(TooLarge, match=r"3,000 rows of 8 columns need \d+ MiB"):
        audit_labels(str(path), memory=1 << 20, exclude=["name"], **ASKED)


@pytest.mark.parametrize("spare", [0, 1 << 40], ids=["kept", "made anew"])
def test_blocks_are_those_of_the_frame_at_every_pass(tmp_path, monkeypatch, spare):
    """The first pass leaves them on disk where there is room, and a second one reads them there."""
    monkeypatch.setattr(scan, "PIECE", 100)
    monkeypatch.setattr(scanned, "SPARE", spare)
    path, rows = tmp_path / "rows.parquet", table().drop("name")
    rows.write_parquet(path, row_group_size=70)
    encoding = fit_encoding(rows, "label")
    dataset = scan.scan(find([str(path)], "label"), Wanted("label"), given=[str(path)])
    columns, whole = scanned.ScannedColumns(dataset.frame, encoding), encoding.transform(rows)
    for _ in range(3):
        parts = list(columns.blocks())
        assert np.array_equal(np.concatenate([part.numeric for part in parts]), whole.numeric)
        assert np.array_equal(
            np.concatenate([part.levels.toarray() for part in parts]), whole.levels.toarray()
        )
        assert {part.features for part in parts} == {whole.features}
        assert bool(columns.kept) == (spare == 0)


def test_rows_that_are_alike_have_one_number():
    """No others do, though many are near each other along any one direction."""
    rows = table(3000).drop("name", "team", "weight")
    rows = pl.concat([rows, rows.head(20)])
    numbers = encoded._projected(fit_encoding(rows, "label").transform(rows))
    mine = (
        rows.drop("label").with_row_index().select("index", same=pl.struct(pl.exclude("index")).rank("dense"))
    )
    assert len(np.unique(numbers)) == mine["same"].n_unique()
    assert np.array_equal(numbers[:20], numbers[-20:])


def test_a_product_takes_one_thread_for_a_while():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("task", "basis"), [("regression", "linear"), ("regression", "spline"), ("count", "linear")]
)
def test_numbers(tmp_path, on_disk, task, basis):
    path, random = tmp_path / "rows.parquet", np.random.default_rng(18)
    rows = table(1500, seed=8).drop("name", "team", "weight")
    x = rows["number"].fill_null(0.0).to_numpy()
    values = np.round(3 * x + random.standard_normal(1500), 2)
    y = random.poisson(np.exp(np.clip(x, -3, 2))).astype(float) if task == "count" else values
    y[:15] += 30
    rows.with_columns(label=pl.Series(y)).write_parquet(path, row_group_size=500)
    memory, found = on_disk(str(path), task=task, basis=basis, verify=2)
    assert set(memory.labels["row"].head(15)) == set(range(15))
    assert_equal(memory, found)
    assert np.allclose(
        found.tables.verification["measured"], memory.tables.verification["measured"], atol=1e-8
    )


def test_machines_take_rows_in_memory(tmp_path):
    path = tmp_path / "rows.parquet"
    table(3000).write_parquet(path, row_group_size=100)
    found = size.size_of([str(path)], Wanted("label"), limit=0, plain=True)
    with pytest.raises(SettingError, match="svm takes all rows in memory"):
        audit_labels(str(path), memory=(found.in_memory + found.out_of_core) // 2, model="svm", **ASKED)


@pytest.mark.parametrize("change", ["written over", "gone"])
def test_a_file_that_changes_is_refused(tmp_path, monkeypatch, change):
    path = tmp_path / "rows.parquet"
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    table(3000).write_parquet(path, row_group_size=250)
    found = size.size_of([str(path)], Wanted("label"), limit=0, plain=True)

    def step(stage, *_):
        if stage == "fit":
            path.unlink(missing_ok=True)
            if change == "written over":
                table(3000, seed=9).write_parquet(path, row_group_size=250)

    with pytest.raises(AuditError, match=r"rows.parquet (has changed while|cannot be read any more)"):
        audit_labels(str(path), memory=(found.in_memory + found.out_of_core) // 2, on_step=step, **ASKED)
    assert list(tmp_path.glob("dataaudit-*")) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_scratch_is_gone_whatever_happens(tmp_path, monkeypatch, error):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fill():
        with Scratch() as scratch:
            scratch.path(".rows").write_bytes(b"some")
            assert list(tmp_path.glob("dataaudit-*"))
            raise error

    with pytest.raises((KeyboardInterrupt, WriteError)):
        fill()
    assert list(tmp_path.glob("dataaudit-*")) == []


def test_a_disk_without_room_is_refused_before_the_work():
    with pytest.raises(WriteError, match="do not fit in"):
        Scratch.require_room(2**60)


def test_a_table_that_fits_is_read(tmp_path):
    path = tmp_path / "rows.parquet"
    table().write_parquet(path)
    with Scratch() as scratch:
        assert streamed.read_scanned(str(path), {"target": "label"}, scratch, plain=True) is None


def test_scanned_rows_are_those_of_the_frame(tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "PIECE", 100)
    path, rows = tmp_path / "rows.parquet", table()
    rows.write_parquet(path, row_group_size=70)
    dataset = scan.scan(find([str(path)], "label"), Wanted("label"), given=[str(path)])
    kept = pl.Series(np.arange(rows.height) % 3 > 0)
    some, mine = dataset.frame.filter(kept).drop("flag"), rows.filter(kept).drop("flag")
    assert some[[7, 0, 7, 500]].equals(mine[[7, 0, 7, 500]])
    assert some["kind"].equals(mine["kind"])
    assert pl.concat(some.iter_slices(64)).equals(mine)
    assert some.gather_every(100).equals(mine.gather_every(100))
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        some["flag"]
    path.write_bytes(b"PAR1 something else PAR1")
    with pytest.raises(DataError):
        scan.require_unchanged(dataset)
