"""What an audit would take, told by a sample: sizes against those of the whole, and whether it fits."""

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.plan import costs
from dataaudit.audits.plan.costs import USUAL, Asked, Shape
from dataaudit.audits.plan.forecast import plan_labels, plan_pair, shape_of
from dataaudit.audits.plan.sample import sample_rows
from dataaudit.data.dataset import Wanted
from dataaudit.features.encoding import fit_encoding
from dataaudit.memory import limited
from dataaudit.model.costs import Size, route
from dataaudit.options import LabelOptions, PlanOptions
from dataaudit.training import selection

RANDOM = np.random.default_rng(0)
WORDS = np.array([f"word{rank}" for rank in range(40_000)])


def texts(n, length=12):
    """Words as frequent as their rank says (Zipf), so that terms grow with rows as in real texts."""
    drawn = np.minimum(RANDOM.zipf(1.3, (n, length)), len(WORDS)) - 1
    return pl.Series([" ".join(row) for row in WORDS[drawn]])


def table(n):
    return pl.DataFrame(
        {
            "x": RANDOM.normal(size=n),
            "when": pl.Series(RANDOM.integers(2**40, size=n)).cast(pl.Datetime("ms")),
            "ward": pl.Series(RANDOM.integers(40, size=n)).cast(pl.String),
            "note": texts(n),
            "y": pl.Series(RANDOM.integers(3, size=n)).cast(pl.String),
        }
    )


def shape(frame, **asked):
    options = LabelOptions(label="y", **asked)
    sample = sample_rows(frame, Wanted("y"))
    return shape_of(sample, options)[0]


@pytest.mark.parametrize("weighting", ["tfidf", "counts"])
def test_sizes_of_the_whole_are_told_by_a_sample(weighting, monkeypatch):
    frame = table(12_000)
    options = LabelOptions(label="y", text="note", text_features=weighting)
    whole = fit_encoding(frame, "y", settings=options.columns).transform(frame)
    monkeypatch.setattr("dataaudit.audits.plan.forecast.TEXT_BYTES", 200_000)  # a sixth of the texts
    found = shape(frame, text="note", text_features=weighting)
    assert (found.rows, found.classes, found.numeric) == (12_000, 3, whole.numeric.shape[1])
    assert found.levels == whole.levels.shape[1]
    assert found.terms == pytest.approx(whole.terms.shape[1], rel=0.2)
    assert found.entries_of_terms == pytest.approx(whole.terms.nnz, rel=0.1)
    assert found.texts == pytest.approx(frame["note"].str.len_bytes().sum(), rel=0.01)
    assert found.encoded == pytest.approx(16 + whole.numeric.nbytes + 12 * whole.terms.nnz, rel=0.2)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_large_files_are_looked_at_in_pieces(tmp_path, suffix, monkeypatch):
    frame, path = table(20_000).sort("y"), tmp_path / f"t.{suffix}"
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "arrow": frame.write_ipc}[suffix](path)
    monkeypatch.setattr("dataaudit.audits.plan.sample.WHOLE", 1000)
    monkeypatch.setattr("dataaudit.audits.plan.sample.ROWS", 1000)
    sample = sample_rows(str(path), Wanted("y", exclude=("when",)))
    assert sample.frame.columns == ["x", "ward", "note", "y"]
    assert sample.frame.height < 2000
    assert (sample.rows, sample.exact) == (pytest.approx(20_000, rel=0.1), suffix != "csv")
    assert sample.stored == path.stat().st_size
    if suffix != "csv":  # all of its length
        assert sample.frame["y"].n_unique() == 3


def test_more_memory_lets_more_be_exact():
    frame = table(2000).drop("note", "when")
    options = LabelOptions(label="y")
    with limited(2**30):
        found = plan_labels(frame, options, speeds=USUAL)
    assert (found.costs.method, found.fits) == ("cholesky", True)
    with limited(2**18):
        small = plan_labels(frame, options, speeds=USUAL)
    assert (small.costs.method, small.fits) == (None, False)


def test_time_grows_with_rows_and_shrinks_with_speed():
    def seconds(n, speeds=USUAL, **asked):
        one = Shape(n, 2, 100 * n, 80 * n, 0, 0, 0, 0, 30_000, 50 * n)
        return costs.costs(one, Asked(**asked), limit=2**33, speeds=speeds).seconds

    assert 5 < seconds(300_000) / seconds(30_000) < 20
    assert seconds(10_000, l2=True) < seconds(10_000)
    half = costs.Speeds(USUAL.dense / 2, USUAL.sparse / 2, USUAL.cells / 2, USUAL.python / 2)
    assert seconds(10_000, half) == pytest.approx(2 * seconds(10_000))


def test_the_machine_is_measured():
    found = costs.measured()
    assert 1e8 < found.sparse < 1e11
    assert 1e8 < found.dense < 1e13


def test_what_is_assumed_of_the_selection_is_so():
    for name in ("WIDE", "PATH_ROWS", "PARAMETERS", "BLOCK_NUMBERS"):
        assert getattr(costs, name) == getattr(selection, name), name


@pytest.mark.parametrize(
    ("size", "limit", "way"),
    [
        (Size(100, 10, 1), 2**30, "cholesky"),
        (Size(10, 100, 1), 2**30, "dual"),
        (Size(2000, 784, 9), 2**33, "cholesky"),  # five times the work of a factor a class
        (Size(1540, 2500, 76, 30_000), 2**33, "classwise"),
        (Size(100_000, 60_000, 1, 10**6), 2**33, "projected"),
        (Size(100_000, 60_000, 1, 10**6), 2**20, None),
    ],
)
def test_the_way_is_chosen_by_work_and_room(size, limit, way):
    assert route(size, limit) == way


def test_an_explanation_of_many_parameters_needs_no_factor():
    one = Shape(2000, 10, 1_570_000, 0, 0, 784, 0, 0, 0, 0)
    few, factored = (costs.costs(one, Asked(few=few), limit=2**33) for few in (True, False))
    assert (few.method, factored.method) == ("solves", "cholesky")
    assert few.bytes < factored.bytes / 2
    assert few.seconds < factored.seconds


def test_a_mismatch_that_does_not_fit_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("dataaudit.data.size._SMALL", 10**6)
    path = tmp_path / "t.parquet"
    table(20_000).drop("note").write_parquet(path)
    asked = PlanOptions(label="y", audit="mismatch", test_size=0.2, basis="linear")
    with limited(2**30):
        whole = plan_pair(str(path), None, asked)
    with limited(30 * 2**20):
        found = plan_pair(str(path), None, asked)
    assert (whole.costs.on_disk, found.costs.on_disk) == (False, True)
    assert {"invert", "trace", "slices"} <= {stage.name for stage in found.costs.stages}
