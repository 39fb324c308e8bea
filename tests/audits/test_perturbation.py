"""Effects of columns: against tables with changed cells that are encoded and scored again, and against
refits."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from dataaudit.audits.perturbation import (
    DRAWS,
    FEATURES,
    TERMS,
    _draws,
    column_effects,
    feature_table,
    sum_effects,
)
from dataaudit.influence.influence import pert_loss
from dataaudit.model.rows import Block, MemoryRows
from dataaudit.options import LabelOptions
from dataaudit.solvers.newton import minimise
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train, train_adopted


@pytest.fixture(scope="module")
def mixed_model(mixed, model_of):
    """Numbers, levels, booleans, dates, vectors and text in one linear model."""
    return model_of(mixed, basis="linear", l2=0.01)


@pytest.fixture(scope="module")
def curved_model(mixed, model_of):
    """Splines and RBF features."""
    return model_of(mixed.drop("remark"), basis="rbf", l2=0.01)


@pytest.fixture(scope="module")
def wine_model(wine, model_of):
    """Three classes."""
    return model_of(wine.frame, basis="linear", l2=0.05)


@pytest.fixture(scope="module")
def words_model(words, model_of):
    """Sparse text."""
    return model_of(words.frame, l2=0.003)


@pytest.fixture
def model(request):
    return request.getfixturevalue(request.param)


def over(*names):
    return pytest.mark.parametrize("model", names, indirect=True)


def some_rows(model, rows):
    return model.trained.objective.rows.take(torch.tensor(rows))


def influences(model, frame, y, test):
    """Return I_up,loss/n of rows of a table on the mean test loss: encoded anew, gradients by autograd."""
    trained = model.trained
    X = trained.encoded.basis.transform(trained.encoded.encoding.transform(frame))
    X = X if isinstance(X, np.ndarray) else X.toarray()

    def gradients(X, y):
        X1 = torch.cat([torch.as_tensor(X), torch.ones(len(X), 1, dtype=torch.float64)], dim=1)
        found = []
        for row, label in zip(X1, y, strict=True):
            theta = trained.fit.theta.clone().requires_grad_()
            s = torch.cat([torch.zeros(1, dtype=torch.float64), row @ theta.view(X1.shape[1], -1)])
            found.append(
                torch.autograd.grad(torch.nn.functional.cross_entropy(s[None], label[None]), theta)[0]
            )
        return torch.stack(found)

    dense = test.X if isinstance(test.X, torch.Tensor) else torch.from_numpy(test.X.toarray())
    g = gradients(dense, test.y).mean(0)
    H = trained.objective.hessian(trained.fit.theta)
    return -(gradients(X, y) @ torch.linalg.solve(H, g)).numpy() / trained.objective.rows.n


@over("mixed_model", "curved_model", "wine_model")
def test_a_columns_effect_is_the_mean_change_of_influence_over_its_cells(model):
    """The twin replaces cells in the table itself, and encodes every changed row again."""
    frame, trained, row = model.dataset.frame, model.trained, 17
    test, y = some_rows(model, [3, 50, 120]), trained.objective.rows.y[row]
    found = {
        e.column: e.finite
        for e in column_effects(trained, np.array([row]), test, seed=4)[0]
        if e.level is None
    }
    assert len(found) == len({f.column for f in trained.encoded.columns.features})
    now = influences(model, frame[[row]], y[None], test)[0]
    offset = float(np.random.default_rng(4).random())
    for column, value in found.items():
        donors, weight = _draws(trained.encoded.columns, column, offset)
        changed = pl.concat([frame[[row]]] * len(donors)).with_columns(frame[donors.tolist()][column])
        slow = weight @ (influences(model, changed, y.repeat(len(donors)), test) - now)
        assert value == pytest.approx(slow, rel=1e-7, abs=1e-12)


def test_draws_are_the_columns_own_distribution(mixed_model):
    columns = mixed_model.trained.encoded.columns
    ward, weight = _draws(columns, "ward", 0.5)
    cells = mixed_model.dataset.frame["ward"]
    counts = {cells[int(i)]: w * len(cells) for i, w in zip(ward, weight, strict=True)}
    assert counts == pytest.approx(dict(cells.value_counts().iter_rows()))
    texture, weight = _draws(columns, "texture", 0.5)
    assert (len(texture), weight.sum()) == (DRAWS, pytest.approx(1.0))
    drawn, own = (mixed_model.dataset.frame["texture"][i.tolist()] for i in (texture, np.arange(200)))
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(own, [0.1, 0.5, 0.9]), rel=0.03)


@over("words_model", "mixed_model")
def test_a_terms_effect_is_that_of_the_text_without_it(model):
    trained, frame, rows = model.trained, model.dataset.frame, [4, 90]
    column = next(role.column for role in trained.roles if role.role == "text")
    test = some_rows(model, [10, 20, 30])
    for row, effects in zip(rows, column_effects(trained, np.array(rows), test), strict=True):
        terms = [e for e in effects if e.level is not None]
        assert 0 < len(terms) <= TERMS
        y = trained.objective.rows.y[row]
        now = influences(model, frame[[row]], y[None], test)[0]
        for effect in terms:
            kept = " ".join(w for w in frame[column][row].split() if w.lower() != effect.level)
            changed = frame[[row]].with_columns(pl.Series(column, [kept]))
            slow = influences(model, changed, y[None], test)[0] - now
            assert effect.finite == pytest.approx(slow, rel=1e-7, abs=1e-12)


def test_removing_a_counted_term_leaves_the_others_alone(words, model_of):
    model = model_of(words.frame, l2=0.01, text=("text",), text_features="counts")
    test, row = some_rows(model, [10]), 7
    effects = [e for e in column_effects(model.trained, np.array([row]), test)[0] if e.level is not None]
    y = model.trained.objective.rows.y[row]
    text = model.dataset.frame["text"][row].split()
    for effect in effects:
        changed = model.dataset.frame[[row]].with_columns(
            text=pl.lit(" ".join(w for w in text if w != effect.level))
        )
        both = influences(model, pl.concat([changed, model.dataset.frame[[row]]]), y.repeat(2), test)
        assert effect.finite == pytest.approx(both[0] - both[1], rel=1e-7, abs=1e-12)


@over("mixed_model", "wine_model", "words_model")
def test_the_gradient_is_the_entry_of_i_pert_loss_with_the_largest_magnitude(model):
    trained, row = model.trained, 12
    test = some_rows(model, [1, 2, 40])
    whole = pert_loss(trained.objective, trained.fit.theta, trained.prepared, test=test)[row]
    whole = (whole / trained.objective.rows.n / 3).numpy()
    for effect in column_effects(trained, np.array([row]), test)[0]:
        mine = [
            v
            for f, v in zip(trained.features, whole, strict=True)
            if f.column == effect.column and effect.level in (None, f.level)
        ]
        assert effect.gradient == pytest.approx(max(mine, key=abs), rel=1e-9)


def test_the_effect_is_the_change_of_test_loss_by_a_refit_with_the_cell_changed(cancer, model_of):
    """The row is put in at a small weight, as it is and with another cell: what influence describes."""
    model = model_of(cancer.frame, basis="linear", l2=0.05)
    trained, row = model.trained, 33
    column = "worst radius"
    donors = np.argsort(cancer.frame[column].to_numpy())[[5, 300, 560]]
    test = some_rows(model, [100, 200])
    objective, small = trained.objective, 1e-3
    cells = cancer.frame[[row] * 3].with_columns(cancer.frame[donors.tolist()][column])
    frame = pl.concat([cancer.frame[[row]], cells])
    X = trained.encoded.basis.transform(trained.encoded.encoding.transform(frame))
    losses = []
    for x in X:
        rows = objective.rows
        added = MemoryRows(
            torch.cat([rows.X, torch.from_numpy(x)[None]]),
            torch.cat([rows.y, rows.y[[row]]]),
            torch.cat([rows.weight, torch.tensor([small])]) * (rows.n + 1) / rows.n,
        )
        theta = minimise(replace(objective, rows=added), trained.fit.theta).theta
        losses.append(float(objective.model.values(theta, test).mean()))
    measured = (np.array(losses[1:]) - losses[0]) / small
    y = objective.rows.y[[row]]
    both = influences(model, frame, y.repeat(4), test)
    assert both[1:] - both[0] == pytest.approx(measured, rel=0.02)


def test_a_cell_that_does_all_the_harm_has_minus_the_rows_influence_as_its_effect():
    """Four rows of a rare level with the wrong label, as the children of the paper's section 5.3."""
    random = np.random.default_rng(0)
    n = 3000
    age = np.where(np.arange(n) < 4, "child", random.choice(["young", "middle", "old"], n))
    x = random.normal(size=n)
    y = np.where(age == "child", 1, random.random(n) < 1 / (1 + np.exp(-x)))
    frame = pl.DataFrame(
        {"age": age, "x": x, "noise": random.normal(size=n), "id": np.arange(n), "y": y.astype(int)}
    )
    asked = LabelOptions(label="y", id="id", basis="linear", l2=1e-4)

    dataset, target = read_labelled(frame, asked)
    trained = train(encode_training(dataset, target, asked), asked)
    child = some_rows_of(trained, frame, age="child", x=0.1, noise=0.0, y=0)
    effects = column_effects(trained, np.arange(4), child)
    whole = -influence_of(trained, child)[:4]
    for mine, total in zip(effects, whole, strict=True):
        assert mine[0].column == "age"
        assert mine[0].finite == pytest.approx(total, rel=0.05)
    assert sum_effects(effects)[0][0] == "age"
    assert sum_effects(effects)[0][1] == pytest.approx(sum(m[0].finite for m in effects))


def some_rows_of(trained, frame, *, y, **cells):
    row = frame.head(1).with_columns(**{k: pl.lit(v) for k, v in cells.items()})
    X = trained.encoded.basis.transform(trained.encoded.encoding.transform(row))
    return Block(torch.from_numpy(X), torch.tensor([y]), torch.ones(1, dtype=torch.float64))


def influence_of(trained, test):
    from dataaudit.influence.influence import up_loss

    return (
        up_loss(trained.objective, trained.fit.theta, trained.prepared, test=test)[0].numpy()
        / trained.objective.rows.n
    )


@pytest.mark.parametrize("sparse", [False, True])
def test_a_model_of_the_users_own_is_explained_by_its_features(cancer, words, sparse):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    source = words if sparse else cancer
    frame = source.frame.drop("id")
    dataset, target = read_labelled(frame, LabelOptions(label="y"))
    last = LogisticRegression(tol=1e-10, max_iter=5000)
    if sparse:
        from sklearn.compose import make_column_transformer

        model = make_pipeline(make_column_transformer((CountVectorizer(), "text")), last)
        model.fit(frame.drop("y").to_pandas(), frame["y"].to_numpy())
    else:
        model = make_pipeline(StandardScaler(), last).fit(frame.drop("y").to_numpy(), frame["y"].to_numpy())
    trained = train_adopted(dataset, target, LabelOptions(label="y", model=model))
    test = trained.objective.rows.take(torch.tensor([5, 6]))
    (effects,) = column_effects(trained, np.array([40]), test)
    X = trained.objective.rows.X
    dense = torch.from_numpy(X.toarray()) if sparse else X
    assert len(effects) == (int((dense[40] != 0).sum()) if sparse else dense.shape[1])
    names = [f.column for f in trained.features]
    best = effects[0]
    j, n = names.index(best.column), len(dense)
    swapped = dense[[40] * n].clone()
    swapped[:, j] = dense[:, j]
    objective = replace(
        trained.objective,
        rows=MemoryRows(swapped, trained.objective.rows.y[[40] * n], torch.ones(n, dtype=torch.float64)),
    )
    from dataaudit.influence.influence import loss_gradients

    solved = trained.prepared.solve(loss_gradients(objective.model, trained.fit.theta, test)).mean(
        1, keepdim=True
    )
    every = (
        objective.model.pair_influences(trained.fit.theta, solved, next(iter(objective.rows.blocks())))[:, 0]
        / n
    )
    now = every[40]
    spread = float(every.std()) / DRAWS**0.5
    assert best.finite == pytest.approx(float(every.mean() - now), abs=5 * spread)


def test_no_rows_and_no_test_rows_give_nothing(wine_model):
    test = some_rows(wine_model, [1])
    assert column_effects(wine_model.trained, np.array([], dtype=np.int64), test) == []
    none = some_rows(wine_model, np.array([], dtype=np.int64))
    assert column_effects(wine_model.trained, np.array([3]), none) == [[]]


def test_the_table_is_ranked_per_row_and_shows_cells(mixed_model):
    test = some_rows(mixed_model, [1, 2])
    effects = column_effects(mixed_model.trained, np.array([8, 3]), test)
    table = feature_table(mixed_model.dataset, effects)
    assert table.schema == FEATURES
    ids = mixed_model.dataset.row_id
    assert table["train_row_id"].unique(maintain_order=True).to_list() == [ids[8], ids[3]]
    mine = table.filter(pl.col("train_row_id") == ids[8])
    assert mine["rank"].to_list() == list(range(1, mine.height + 1))
    assert mine["finite_effect"].abs().is_sorted(descending=True)
    shown = dict(mine.filter(pl.col("level").is_null()).select("column", "value").iter_rows())
    assert shown["texture"] == str(mixed_model.dataset.frame["texture"][8])
    terms = mine.filter(pl.col("level").is_not_null())
    assert (terms["value"] == terms["level"]).all()


def test_columns_with_column_takes_every_kind_from_the_donor(mixed_model):
    columns, frame = mixed_model.trained.encoded.columns, mixed_model.dataset.frame
    encoding = mixed_model.trained.encoded.encoding
    rows, donors = np.array([0, 19, 5]), np.array([38, 7, 90])
    for name in ("radius", "ward", "biopsied", "scan", "day", "remark"):
        mixed = columns.take(rows).with_column(name, columns.take(donors))
        slow = encoding.transform(frame[rows.tolist()].with_columns(frame[donors.tolist()][name]))
        for part in ("numeric", "vectors", "levels", "terms"):
            fast, twin = (getattr(c, part) for c in (mixed, slow))
            dense = (m if isinstance(m, np.ndarray) else m.toarray() for m in (fast, twin))
            np.testing.assert_allclose(*dense, rtol=0, atol=1e-12)
