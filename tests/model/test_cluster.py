"""Sums over shards on real worker processes: the same as in this one, whoever dies."""

import json
import os
import pickle
import re
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from cases import CASES
from scipy.sparse import csr_array
from shards import dying, given, killing, sharded, write

from dataaudit.errors import ClusterError, MissingColumn, SettingError, UnreadableFile
from dataaudit.influence.passes import minimise_by_passes
from dataaudit.model.cluster import SMALL, connected, packed
from dataaudit.model.rows import BUNDLE, LOCAL, added

pytest.importorskip("distributed")
TESTS = Path(__file__).parents[1]


SOME = [case for case in CASES if case.name in ("binary sparse tall", "softmax weighted")]


@pytest.fixture(scope="module")
def engine():
    with connected(workers=2, memory=2**31) as cluster:
        yield cluster


@pytest.fixture
def one_thread():
    """As workers have it: with more, sums over a block are in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def everything(objective, theta):
    """What is asked of rows, and the fit."""
    V = torch.randn(len(theta), 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return {
        "value": torch.tensor(objective.value(theta)),
        "gradient": objective.gradient(theta),
        "product": objective.hvp_at(theta)(V),
        "hessian": objective.hessian(theta),
        "scores": objective.scores(theta),
        "taken": objective.rows.take(torch.tensor([3, 0, objective.rows.n - 1, 3])).X,
    }


def fitted(objective):
    return minimise_by_passes(objective).fit.theta


def test_all_cases_are_the_same_on_workers_and_in_memory(engine, tmp_path, one_thread):
    for at, case in enumerate(SOME):
        whole = case.objective()
        sparse, n = isinstance(case.X, csr_array), whole.rows.n
        path = write(tmp_path / f"{at}.npy", case.X)
        theta = 0.1 * torch.randn(
            whole.model.n_params, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
        )
        whole = replace(whole, rows=replace(whole.rows, X=case.dense))
        expected = everything(whole, theta)
        for run in (LOCAL, engine):
            rows = sharded(path, whole.rows, [n // 3, n // 3, n // 2], run, sparse=sparse)  # one is empty
            found = everything(replace(whole, rows=rows), theta)
            for name, value in expected.items():
                torch.testing.assert_close(
                    found[name], value, rtol=1e-10, atol=1e-12, msg=f"{case.name} {name}"
                )


def test_fits_are_the_same_for_every_sharding_and_bit_for_bit_for_the_same(engine, tmp_path, one_thread):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((700, 6)) + 5.0
    y = (X[:, 0] - 5.0 + rng.standard_normal(700) > 0).astype(np.int64)
    order = np.argsort(y, kind="stable")  # the first shards have one class alone
    case = replace(CASES[0], X=torch.from_numpy(X[order]), y=torch.from_numpy(y[order]), n_classes=2)
    whole = replace(case, weight=torch.ones(700, dtype=torch.float64)).objective()
    path, theta = write(tmp_path / "X.npy", X[order]), fitted(whole)
    for count in (1, 2, 5, 7):
        cuts = np.linspace(0, 700, count + 1).astype(int)[1:-1].tolist()
        there = fitted(replace(whole, rows=sharded(path, whole.rows, cuts, engine)))
        torch.testing.assert_close(there, theta, rtol=1e-10, atol=1e-10)
    again = fitted(replace(whole, rows=sharded(path, whole.rows, cuts, engine)))
    assert torch.equal(there, again)
    many = [sharded(path, whole.rows, list(range(20, 700, 20)), run) for run in (LOCAL, engine)]
    assert len(many[0].shards) > BUNDLE
    here, there = (one.sum(partial(whole.model.gradient, 0 * theta)) for one in many)
    torch.testing.assert_close(there, here, rtol=1e-13, atol=1e-13)


def test_a_worker_that_is_killed_amid_a_sum_costs_its_shards_alone(engine, tmp_path, one_thread):
    whole, flag = CASES[0].objective(), tmp_path / "flag"
    rows = sharded(write(tmp_path / "X.npy", CASES[0].X), whole.rows, [4, 9, 20], engine)
    theta, before = torch.zeros(whole.model.n_params, dtype=torch.float64), fitted(replace(whole, rows=rows))
    total = rows.sum(partial(whole.model.gradient, theta))
    flag.touch()
    assert torch.equal(rows.sum(partial(dying, str(flag), whole.model, theta)), total)
    assert not flag.exists()
    assert torch.equal(fitted(replace(whole, rows=rows)), before)


def test_a_vector_travels_as_what_in_it_differs_from_zero(engine, tmp_path):
    vector = torch.zeros(20 * SMALL, dtype=torch.float64)
    vector[7::1000] = 2.5
    assert len(packed(vector)) < 8 * len(vector) / 50
    assert len(packed(vector[:10].clone())) < 300
    whole = CASES[0].objective()
    rows = sharded(write(tmp_path / "X.npy", CASES[0].X), whole.rows, [10], engine)
    for large in (vector, torch.arange(2.0 * SMALL).double()):
        assert torch.equal(rows.sum(partial(given, large)), 2 * large)


def test_features_are_forgotten_with_their_shards(engine, tmp_path):
    whole = CASES[0].objective()
    rows = sharded(write(tmp_path / "X.npy", CASES[0].X), whole.rows, [10], engine)
    before = len(engine._features), len(engine._labels)
    theta = torch.zeros(whole.model.n_params, dtype=torch.float64)
    for weight in (rows.weight, 2 * rows.weight):
        replace(whole, rows=replace(rows, weight=weight)).gradient(theta)
    assert len(engine._features) == before[0] + 2
    del rows
    assert (len(engine._features), len(engine._labels)) == before


def test_a_file_that_a_worker_cannot_read_is_named_with_the_worker(engine, tmp_path):
    whole = CASES[0].objective()
    rows = sharded(str(tmp_path / "gone.npy"), whole.rows, [10], engine)
    with pytest.raises(UnreadableFile, match=r"worker tcp://.* cannot read its rows: .*gone\.npy"):
        rows.sum(partial(whole.model.gradient, torch.zeros(whole.model.n_params, dtype=torch.float64)))


def test_workers_see_the_same_files(engine, tmp_path):
    same = tmp_path / "a.parquet"
    same.write_bytes(b"a" * 10)
    engine.require_files([str(same)])
    with pytest.raises(ClusterError, match=r"worker tcp://.* sees another /proc/self/environ: "):
        engine.require_files(["/proc/self/environ"])  # every process has its own


def test_errors_come_back_as_they_were():
    for error in (MissingColumn("a", ["b", "c"], "the data"), SettingError("x is wrong", "leave it out")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.hint) == (type(error), str(error), error.hint)


def test_sums_of_nothing_are_refused(engine):
    with pytest.raises(SettingError, match="no rows"):
        engine.sum(partial(given, 1), ())
    with pytest.raises(SettingError, match="no rows"):
        added(())


def test_nobody_answers():
    with (
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9 within 5 s"),
        connected("tcp://127.0.0.1:9"),
    ):
        pass
    with pytest.raises(SettingError, match=r"3 workers need 1\.5 GiB"), connected(workers=3, memory=2**30):
        pass


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler in a process of its own: its address, and what starts a worker for it."""
    known, started = tmp_path / "scheduler.json", []

    def start(kind, *words, first=TESTS):
        words = [f"distributed.cli.dask_{kind}", "--scheduler-file", str(known), "--no-dashboard", *words]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(first), str(TESTS)))}
        command = [sys.executable, "-m", *words]
        # Not in this folder, whose metadata would be found before those of `first`.
        run = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment, cwd=known.parent)
        started.append(run)
        return started[-1]

    process = start("scheduler", "--host", "127.0.0.1", "--port", "0")
    while not known.exists() or not known.read_text():
        time.sleep(0.05)
    yield json.loads(known.read_text())["address"], process, start
    for one in started:
        one.kill()
        one.wait()


@pytest.mark.slow  # four processes that import everything
def test_who_works_is_looked_at_before_the_work(scheduler, tmp_path):
    address, process, start = scheduler
    with pytest.raises(ClusterError, match=rf"the scheduler at {address} has no worker"), connected(address):
        pass
    old = tmp_path / "old" / "dataaudit-0.0.7.dist-info"
    old.mkdir(parents=True)
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: dataaudit\nVersion: 0.0.7\n")
    worker = "worker", "--nthreads", "1", "--no-nanny"
    other = start(*worker, first=old.parent)
    refused = rf"worker tcp://.* has dataaudit 0\.0\.7, this machine {re.escape(version('dataaudit'))}"
    with pytest.raises(ClusterError, match=refused):
        connect_when_there(address)
    other.kill()
    start(*worker)
    connect_when_there(address)
    whole = CASES[0].objective()
    path, theta = write(tmp_path / "X.npy", CASES[0].X), torch.zeros(6, dtype=torch.float64)

    def work():
        with connected(address) as engine:
            rows = sharded(path, whole.rows, [10], engine)
            total = rows.sum(partial(whole.model.gradient, theta))
            torch.testing.assert_close(total, whole.rows.sum(partial(whole.model.gradient, theta)))
            rows.sum(partial(killing, process.pid))

    with pytest.raises(ClusterError, match=f"{address} does not answer any more"):
        work()


def connect_when_there(address):
    """Connect once a worker has come."""
    while True:
        try:
            with connected(address):
                return
        except ClusterError as error:
            if "has no worker" not in str(error):
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("task", ["regression", "count"])
def test_an_audit_of_numbers_is_the_same_on_workers(engine, tmp_path, task):
    from dataaudit import audit_labels

    rng = np.random.default_rng(1)
    x = rng.standard_normal((600, 2))
    y = 2 * x[:, 0] + rng.standard_normal(600) if task == "regression" else rng.poisson(np.exp(1 + x[:, 0]))
    frame = pl.DataFrame({"one": x[:, 0], "two": x[:, 1], "y": y + 40.0 * (np.arange(600) < 5)})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=200)
    asked = {"label": "y", "task": task, "l2": 1e-3, "basis": "linear", "verify": 2, "top": 5}
    here = audit_labels(tmp_path / "a.parquet", **asked).labels.sort("row")
    there = audit_labels(tmp_path / "a.parquet", client=engine.client, **asked).labels.sort("row")
    assert set(there.sort("rank")["row"].head(5)) == set(range(5))
    for name in ("p_wrong", "residual", "noise", "self_influence", "loo_loss", "leverage"):
        np.testing.assert_allclose(there[name], here[name], rtol=1e-8, atol=1e-10)


def test_an_audit_of_labels_is_the_same_on_workers(engine, tmp_path):
    from dataaudit import audit_labels

    rng = np.random.default_rng(0)
    x, kind = rng.standard_normal((600, 2)), rng.choice(["a", "b", "c"], 600)
    y = np.where(x[:, 0] + (kind == "a") + 0.5 * rng.standard_normal(600) > 0, "yes", "no")
    frame = pl.DataFrame({"one": x[:, 0], "two": x[:, 1], "kind": kind, "y": y})
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=200)
    asked = {"label": "y", "l2": 1e-3, "basis": "linear", "verify": 2, "top": 5}
    here = audit_labels(tmp_path / "a.parquet", **asked)
    there = audit_labels(tmp_path / "a.parquet", client=engine.client, **asked)
    assert there.labels["row_id"].to_list() == here.labels["row_id"].to_list()
    for name, kind in here.labels.schema.items():
        if kind == pl.Float64:
            np.testing.assert_allclose(there.labels[name], here.labels[name], rtol=1e-8, atol=1e-10)
    assert "client" not in there.findings.provenance.settings
    texts = frame.select(pl.concat_str("kind", pl.lit(" of some kind that words say")).alias("text"), "y")
    texts.write_parquet(tmp_path / "texts.parquet")
    alone = audit_labels(tmp_path / "texts.parquet", text="text", client=engine.client, **asked)
    assert any("stay in this process" in note for note in alone.findings.provenance.notes)
    frame.write_csv(tmp_path / "a.csv")
    for source in (frame, tmp_path / "a.csv"):
        with pytest.raises(SettingError, match=r"workers read .*: got .*write it as Parquet"):
            audit_labels(source, client=engine.client, **asked)
    with pytest.raises(SettingError, match="svm takes all rows in this process"):
        audit_labels(frame, workers=2, model="svm", label="y")
    with pytest.raises(SettingError, match="scheduler and workers each say who works"):
        audit_labels(frame, workers=2, scheduler="tcp://127.0.0.1:9", label="y")


def test_without_dask_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(SettingError, match=r"package distributed.* Hint: pip install distributed"),
        connected(workers=2),
    ):
        pass
