"""The strongest influences, against a full sort of the full matrix."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from cases import CASES, IDS, make

from dataaudit.errors import SettingError
from dataaudit.influence import topk
from dataaudit.influence.topk import strongest_influences
from dataaudit.solvers.newton import minimise


def all_pairs(case, theta, solved):
    """Every influence, a test row at a time from the definition, in NumPy."""
    X1 = np.hstack([case.dense.numpy(), np.ones((len(case.y), 1))])
    s = np.hstack([np.zeros((len(X1), 1)), X1 @ theta.view(X1.shape[1], -1).numpy()])
    p = np.exp(s - np.logaddexp.reduce(s, axis=1, keepdims=True))
    r = (p - np.eye(case.n_classes)[case.y.numpy()])[:, 1:]
    gradients = (X1[:, :, None] * r[:, None, :]).reshape(len(X1), -1)
    return -(gradients @ solved.numpy()).T


def check(found, matrix, k):
    """Assert that rows, values and totals are those of a stable sort of the matrix."""
    k = min(k, matrix.shape[1])
    tolerance = 1e-11 * max(1.0, np.abs(matrix).max(initial=0.0))
    for rows, values, signed in (
        (found.harmful_rows, found.harmful, matrix),
        (found.helpful_rows, found.helpful, -matrix),
    ):
        assert rows.shape == values.shape == (len(matrix), k)
        assert rows.dtype == torch.int64
        ordered = -np.sort(-signed, axis=1)[:, :k]
        own = np.take_along_axis(signed, rows.numpy(), axis=1)
        np.testing.assert_allclose(own, ordered, rtol=1e-9, atol=tolerance)
        np.testing.assert_allclose(np.abs(values.numpy()), np.abs(own), rtol=1e-9, atol=tolerance)
        assert all(len(set(row)) == k for row in rows.tolist())
    np.testing.assert_allclose(found.total, np.abs(matrix).sum(1), rtol=1e-9, atol=tolerance)
    np.testing.assert_allclose(found.square, (matrix**2).sum(1), rtol=1e-9, atol=tolerance**2)


@pytest.mark.parametrize("k", [1, 5, 1000])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rows_values_and_totals_are_those_of_a_full_sort(case, k):
    objective = case.objective()
    theta = minimise(objective).theta
    solved = torch.randn(len(theta), 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    check(strongest_influences(objective, theta, solved, k=k), all_pairs(case, theta, solved), k)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("memory_bytes", [1, 200_000, 2**28])
def test_blocks_tiles_and_short_chunks_do_not_show(n_classes, memory_bytes, sparse, monkeypatch):
    """2,117 rows are three tiles, the last with a chunk of 5; little memory makes blocks of 32 rows."""
    monkeypatch.setattr(topk, "TESTS", 16)
    case = make("", 2117, 6, n_classes, sparse=sparse)
    theta = torch.randn(7 * (n_classes - 1), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    solved = torch.randn(len(theta), 37, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    found = strongest_influences(case.objective(), theta, solved, k=20, memory_bytes=memory_bytes)
    check(found, all_pairs(case, theta, solved), 20)


@pytest.mark.parametrize("memory_bytes", [1, 2**28])
def test_equal_values_are_in_the_order_of_their_rows(memory_bytes):
    """Whole numbers, so that equal is equal: 20 different rows, each there 100 times."""
    case = make("", 20, 3, 2)
    X = (10 * case.X).round().repeat(100, 1)
    many = type(case)("", X, torch.zeros(2000, dtype=torch.int64), torch.ones(2000).double(), 2)
    theta = torch.zeros(4, dtype=torch.float64)  # every slope is 1/2
    solved = torch.tensor([[1.0, 2, 0, 0], [0, 0, 0, 0]], dtype=torch.float64).T.contiguous()
    found = strongest_influences(many.objective(), theta, solved, k=150, memory_bytes=memory_bytes)
    matrix = all_pairs(many, theta, solved)
    for rows, signed in ((found.harmful_rows, matrix), (found.helpful_rows, -matrix)):
        np.testing.assert_array_equal(rows, np.argsort(-signed, axis=1, kind="stable")[:, :150])
    assert found.harmful_rows[1].tolist() == list(range(150)), "nothing has influence: all are equal"


def test_a_few_rows_that_carry_everything_are_told_by_the_totals():
    case = make("", 500, 4, 2)
    X = torch.cat([case.X, torch.zeros(500, 1, dtype=torch.float64)], 1)
    X[[17, 200, 401], 4] = 1.0
    special = type(case)("", X, case.y, case.weight, 2)
    theta = torch.zeros(6, dtype=torch.float64)
    solved = torch.eye(6, dtype=torch.float64)[:, 4:5].contiguous()
    found = strongest_influences(special.objective(), theta, solved, k=3)
    assert float(found.total**2 / found.square) == pytest.approx(3)
    both = {*found.harmful_rows[0][found.harmful[0] > 0].tolist()}
    assert both | {*found.helpful_rows[0][found.helpful[0] < 0].tolist()} == {17, 200, 401}


def test_no_test_rows_is_an_empty_answer():
    case = make("", 40, 3, 2)
    found = strongest_influences(case.objective(), torch.zeros(4).double(), torch.zeros(4, 0).double(), k=5)
    assert found.harmful_rows.shape == found.helpful.shape == (0, 5)
    assert found.total.shape == (0,)


def test_k_must_be_positive():
    case = make("", 40, 3, 2)
    with pytest.raises(SettingError, match="k must be at least 1: got 0"):
        strongest_influences(case.objective(), torch.zeros(4).double(), torch.zeros(4, 1).double(), k=0)


@pytest.mark.slow
def test_memory_stays_within_what_was_allowed():
    """3,000 test rows × 60,000 training rows are 1.3 GiB as a matrix; 64 MiB were allowed."""
    code = """
import resource, torch
from cases import make
from dataaudit.influence.topk import strongest_influences
case = make("", 60_000, 10, 2)
objective, theta = case.objective(), torch.zeros(11, dtype=torch.float64)
solved = torch.randn(11, 3000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
strongest_influences(objective, theta, solved[:, :1].contiguous(), memory_bytes=2**20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
strongest_influences(objective, theta, solved, memory_bytes=2**26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
    )
    kilobytes = int(done.stdout) if sys.platform != "darwin" else int(done.stdout) // 1024
    assert kilobytes < 96 * 1024
