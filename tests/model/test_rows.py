"""Rows in blocks: no block size, layout or storage changes a result."""

import numpy as np
import pytest
import torch
from cases import CASES, IDS
from scipy.sparse import csr_array, random_array

from dataaudit.errors import SettingError
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import AT_ONCE, FEW, Block, MemoryRows, ahead, multiplied


def rows_of(X, block_bytes=2**26):
    n = X.shape[0]
    return MemoryRows(X, torch.arange(n) % 2, torch.ones(n, dtype=torch.float64), block_bytes)


@pytest.mark.parametrize("columns", [1, 2, FEW, FEW + 1])
def test_a_product_is_the_same_as_rows(columns):
    A, B = (torch.randn(shape, dtype=torch.float64) for shape in ((7, 5), (5, columns)))
    for left in (A, A.T.contiguous().T):
        found = multiplied(left, B)
        assert found.is_contiguous()
        torch.testing.assert_close(found, torch.einsum("ab,bm->am", A, B))


@pytest.mark.parametrize("block_bytes", [1, 2000, 40_000, 2**26])
@pytest.mark.parametrize("shape", [(7, 3), (60, 400), (300, 40)])
def test_sparse_gram_is_the_dense_product(shape, block_bytes):
    rng = np.random.default_rng(0)
    X = random_array(shape, density=0.03, rng=rng, data_sampler=rng.standard_normal, format="lil")
    X[:, 0] = 1.5  # a column that every row shares takes the dense branch
    X = csr_array(X)
    K = rows_of(X, block_bytes).gram()
    dense = torch.from_numpy(X.toarray())
    torch.testing.assert_close(K, dense @ dense.T, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(rows_of(dense).gram(), dense @ dense.T)
    assert torch.equal(K, rows_of(X, block_bytes).gram())


def test_gram_of_empty_rows_and_columns_is_zero_there():
    X = csr_array((np.array([2.0]), (np.array([1]), np.array([2]))), shape=(3, 5))
    expected = torch.zeros(3, 3, dtype=torch.float64)
    expected[1, 1] = 4.0
    assert torch.equal(rows_of(X).gram(), expected)
    assert torch.equal(rows_of(csr_array((2, 4))).gram(), torch.zeros(2, 2, dtype=torch.float64))


def test_gram_adds_entries_that_are_stored_twice():
    X = csr_array((np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1]), np.array([0, 2, 3])), shape=(2, 2))
    assert rows_of(X).gram().tolist() == [[9.0, 0.0], [0.0, 25.0]]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_blocks_of_any_size_give_the_same_sums(case):
    theta = 0.1 * torch.randn(
        case.objective().model.n_params, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )
    V = torch.randn(len(theta), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    whole = case.objective()
    for block_bytes in (1, 400):
        blocks = case.objective(block_bytes=block_bytes)
        assert len(list(blocks.rows.blocks())) > 1
        assert blocks.value(theta) == pytest.approx(whole.value(theta), rel=1e-13)
        for name in ("gradient", "hessian", "hessian_diagonal", "curvature", "scores"):
            torch.testing.assert_close(
                getattr(blocks, name)(theta), getattr(whole, name)(theta), rtol=1e-12, atol=1e-14
            )
        torch.testing.assert_close(blocks.hvp_at(theta)(V), whole.hvp_at(theta)(V), rtol=1e-12, atol=1e-13)


def test_a_sparse_block_is_sized_by_what_it_holds_and_a_dense_one_by_its_dense_form():
    X = csr_array(random_array((100, 1000), density=0.001, rng=np.random.default_rng(0)))
    rows = rows_of(X, block_bytes=80_080)
    assert len(list(rows.blocks())) == 1
    sizes = [len(block.y) for block in rows.blocks(dense=True)]
    assert sizes == [10] * 10


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_scores_and_pull_are_products_with_the_bordered_matrix(case):
    block = next(iter(case.objective().rows.blocks()))
    X1 = block.dense()
    assert torch.equal(X1, torch.cat([case.dense, torch.ones(len(case.y), 1, dtype=torch.float64)], 1))
    V = torch.randn(X1.shape[1], 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    U = torch.randn(4, len(X1), dtype=torch.float64, generator=torch.Generator().manual_seed(0)).T
    assert not U.is_contiguous()
    torch.testing.assert_close(block.scores(V), X1 @ V)
    torch.testing.assert_close(block.pull(U), X1.T @ U)


@pytest.mark.parametrize("case", CASES[:4], ids=IDS[:4])
def test_take_returns_the_rows_in_the_order_asked(case):
    picked = torch.tensor([3, 0, 3])
    block = case.objective().rows.take(picked)
    assert isinstance(block, Block)
    assert torch.equal(block.dense()[:, :-1], case.dense[picked])
    assert torch.equal(block.y, case.y[picked])


def test_huge_and_tiny_values_survive():
    X = torch.tensor([[2.0**500, 0.0], [2.0**-500, 1.0]], dtype=torch.float64)
    dense = rows_of(X).gram()
    assert dense.tolist() == [[2.0**1000, 1.0], [1.0, 1.0]]
    assert torch.equal(rows_of(csr_array(X.numpy())).gram(), dense)


def test_columns_in_any_memory_order_give_the_same_derivatives():
    case = CASES[0]
    fortran = case.X.T.contiguous().T
    every_other = torch.repeat_interleave(case.X, 2, dim=1)[:, ::2]
    assert not fortran.is_contiguous()
    assert not every_other.is_contiguous()
    theta = torch.linspace(-1, 1, 6, dtype=torch.float64)
    expected = case.objective().hessian(theta)
    for X in (fortran, every_other):
        objective = Objective(
            MemoryRows(X, case.y, case.weight), LinearModel(Softmax(2), X.shape[1]), case.l2
        )
        torch.testing.assert_close(objective.hessian(theta), expected)


def test_lengths_that_differ_are_refused():
    with pytest.raises(SettingError, match="got 3, 2 and 3"):
        MemoryRows(torch.zeros(3, 1), torch.zeros(2, dtype=torch.long), torch.ones(3))


def test_no_rows_are_refused():
    rows = rows_of(torch.zeros(0, 2, dtype=torch.float64))
    with pytest.raises(SettingError, match="no rows"):
        rows.sum(lambda block: block.dense())


def test_parts_are_made_ahead_in_their_order():
    """No more are begun than are worked on at a time, and what goes wrong in one is raised in its turn."""
    begun = []

    def make(item):
        begun.append(item)
        return torch.tensor([1 / item])

    made = ahead(make, [1, 2, 4, 8, 0, 16, 32])
    assert next(made).item() == 1.0
    assert len(begun) <= AT_ONCE + 1
    assert [next(made).item() for _ in range(3)] == [0.5, 0.25, 0.125]
    with pytest.raises(ZeroDivisionError):
        next(made)
