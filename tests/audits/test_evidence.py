"""Evidence: columns, terms and neighbours against slow twins that share nothing with the fast code."""

import numpy as np
import polars as pl
import pytest
import torch

import dataaudit
from dataaudit.audits.evidence import (
    OTHER_LABEL,
    REPLACEMENTS,
    SAME_LABEL,
    SHOWN_CONTRIBUTIONS,
    contributions,
    neighbours,
)
from dataaudit.cells import KEPT


@pytest.fixture(scope="session")
def mixed_model(mixed, model_of):
    """Numbers, levels, booleans, dates, vectors and text in one linear model."""
    return model_of(mixed, basis="linear", l2=0.01)


@pytest.fixture(scope="session")
def curved_model(mixed, model_of):
    """Splines and RBF features, where a column enters in no linear way."""
    return model_of(mixed.drop("remark"), basis="rbf", l2=0.01)


@pytest.fixture(scope="session")
def wine_model(wine, model_of):
    """Three classes."""
    return model_of(wine.frame, basis="linear", l2=0.05)


@pytest.fixture(scope="session")
def words_model(words, model_of):
    """Sparse text."""
    return model_of(words.frame, l2=0.003)


@pytest.fixture
def model(request):
    """The model that a test is parametrised with by name."""
    return request.getfixturevalue(request.param)


def over(*names):
    return pytest.mark.parametrize("model", names, indirect=True)


def log_odds(model, frame, row):
    """Return label against suggested label for rows of a frame, scored from scratch."""
    p = model.trained.probabilities(frame)
    label, suggested = model.target.y[row], model.scores.suggested[row]
    return np.log(p[:, label]) - np.log(p[:, suggested])


@over("mixed_model", "curved_model", "wine_model")
def test_a_columns_effect_is_the_mean_change_when_its_cell_is_another_rows(model):
    """The twin replaces cells in the table itself, and encodes and scores every changed row again."""
    frame, trained = model.dataset.frame, model.trained
    rows = np.array([3, 0, 41, 17])
    found = contributions(trained, model.scores, rows, seed=7)
    drawn = np.random.default_rng(7).integers(frame.height, size=REPLACEMENTS * len(rows))
    drawn = drawn.reshape(REPLACEMENTS, len(rows))
    texts = {role.column for role in trained.roles if role.role == "text"}
    used = [r.column for r in trained.roles if r.role != "left out" and r.column not in texts]
    for position, row in enumerate(rows.tolist()):
        slow = {}
        for column in used:
            own = pl.concat([frame[[row]]] * REPLACEMENTS)
            changed = own.with_columns(frame[drawn[:, position].tolist()][column])
            effect = log_odds(model, own, row) - log_odds(model, changed, row)
            slow[column] = float(effect.mean())
        fast = {c.column: c.value for c in found[position] if c.level is None}
        assert fast
        for column, value in fast.items():
            assert value == pytest.approx(slow[column], rel=1e-9, abs=1e-10)
        left_out = [abs(slow[column]) for column in used if column not in fast]
        shown = [abs(c.value) for c in found[position]]
        assert not left_out or max(left_out) <= min(shown) + 1e-10, "the strongest are shown"


@over("mixed_model", "words_model")
def test_a_terms_contribution_is_the_change_of_score_when_it_goes(model):
    trained = model.trained
    rows = np.arange(0, 60, 7)
    X = trained.objective.rows.X
    X = X.numpy() if isinstance(X, torch.Tensor) else X.toarray()
    Theta = trained.objective.model.matrix(trained.fit.theta).numpy()
    place = {(f.column, f.level): j for j, f in enumerate(trained.features) if f.kind == "term"}
    found, terms = contributions(trained, model.scores, rows, seed=0), 0
    for row, reasons in zip(rows, found, strict=True):
        sign = 1.0 if model.target.y[row] == 1 else -1.0
        for c in reasons:
            if c.level is None:
                continue
            x = X[row].copy()
            assert x[place[c.column, c.level]] != 0, "only terms of the text itself"
            x[place[c.column, c.level]] = 0.0
            change = (X[row] - x) @ Theta[:-1, 0]
            assert c.value == pytest.approx(sign * change, rel=1e-12)
            terms += 1
    assert terms > len(rows)


@over("mixed_model", "curved_model", "wine_model", "words_model")
def test_contributions_are_few_sorted_and_of_the_row(model):
    rows = np.array([5, 1, 9])
    found = contributions(model.trained, model.scores, rows, seed=0)
    for row, reasons in zip(rows, found, strict=True):
        sizes = [abs(c.value) for c in reasons]
        assert 0 < len(reasons) <= SHOWN_CONTRIBUTIONS
        assert sizes == sorted(sizes, reverse=True)
        assert {c.row for c in reasons} == {row}
        keys = [(c.column, c.level) for c in reasons]
        assert len(set(keys)) == len(keys)


def test_the_same_seed_gives_the_same_evidence(curved_model):
    one, two, other = (
        contributions(curved_model.trained, curved_model.scores, np.arange(5), seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == two
    assert one != other


def test_no_rows_have_no_evidence(wine_model):
    none = np.empty(0, dtype=np.int64)
    assert contributions(wine_model.trained, wine_model.scores, none, seed=0) == []
    assert neighbours(wine_model.trained, wine_model.scores, none) == []


def test_the_words_that_speak_against_a_wrong_label_are_the_other_topics(words, words_audit, garden):
    top = words_audit.labels.head(10).filter(pl.col("row").is_in(list(words.flipped)))
    against = words_audit.findings.evidence.filter(pl.col("contribution") < 0)
    for row_id, label in top.select("row_id", "label").rows():
        first = against.filter(pl.col("row_id") == row_id).sort("position")["level"].head(3)
        of_garden = [word in garden for word in first]
        assert np.mean(of_garden) > 0.6 if label == "harbour" else np.mean(of_garden) < 0.4


def test_evidence_shows_the_cells(wine, wine_audit):
    for row_id, column, cell in wine_audit.findings.evidence.select("row_id", "column", "cell").rows():
        assert cell == str(wine.frame.filter(pl.col("id") == row_id)[column].item())


def dense_similarity(model, i, j):
    """Return cosine of rows i and j in the geometry of a dense inverse, from the definition."""
    objective = model.trained.objective
    X = objective.rows.X
    X = X.numpy() if isinstance(X, torch.Tensor) else X.toarray()
    K = len(model.target.classes)
    v = np.eye(K)[model.target.y[i]] - np.eye(K)[model.scores.suggested[i]]
    inverse = np.linalg.inv(objective.hessian(model.trained.fit.theta).numpy())
    a, b = (np.kron(np.append(X[row], 1.0), v[1:]) for row in (i, j))
    return a @ inverse @ b / np.sqrt((a @ inverse @ a) * (b @ inverse @ b))


@over("mixed_model", "curved_model", "wine_model")
def test_similarity_is_the_cosine_under_a_dense_inverse(model):
    for alike in neighbours(model.trained, model.scores, np.array([0, 30, 77])):
        for m in alike:
            assert m.similarity == pytest.approx(dense_similarity(model, m.row, m.other), rel=1e-7)


def test_similarity_where_rows_have_weights(wine_model, weighted):
    model = weighted(wine_model, np.random.default_rng(0).uniform(0.2, 3.0, 178))
    for m in neighbours(model.trained, model.scores, np.array([12]))[0]:
        assert m.similarity == pytest.approx(dense_similarity(model, m.row, m.other), rel=1e-7)


@over("wine_model", "mixed_model")
def test_neighbours_are_the_most_alike_of_each_label(model):
    y, rows = model.target.y, np.array([4, 60])
    for row, alike in zip(rows, neighbours(model.trained, model.scores, rows), strict=True):
        for label, count in ((model.scores.suggested[row], OTHER_LABEL), (y[row], SAME_LABEL)):
            everyone = [j for j in np.flatnonzero(y == label) if j != row]
            best = sorted((dense_similarity(model, row, j) for j in everyone), reverse=True)[:count]
            mine = [m.similarity for m in alike if y[m.other] == label]
            np.testing.assert_allclose(mine, best, rtol=1e-7)


@over("wine_model", "words_model", "curved_model")
def test_neighbours_have_the_suggested_or_the_own_label_and_are_never_the_row_itself(model):
    y, rows = model.target.y, np.arange(0, 100, 3)
    for row, alike in zip(rows, neighbours(model.trained, model.scores, rows), strict=True):
        labels = [int(y[m.other]) for m in alike]
        assert labels == [model.scores.suggested[row]] * OTHER_LABEL + [y[row]] * SAME_LABEL
        assert row not in [m.other for m in alike]
        assert all(-1 - 1e-9 <= m.similarity <= 1 + 1e-9 for m in alike)
        for part in (alike[:OTHER_LABEL], alike[OTHER_LABEL:]):
            assert [m.similarity for m in part] == sorted((m.similarity for m in part), reverse=True)


def test_many_rows_are_done_in_parts_with_the_same_result(wine_model):
    every = neighbours(wine_model.trained, wine_model.scores, np.arange(150))
    for row in (0, 63, 64, 149):
        (alone,) = neighbours(wine_model.trained, wine_model.scores, np.array([row]))
        assert [m.other for m in alone] == [m.other for m in every[row]]


def test_a_duplicate_is_as_alike_as_can_be(wine, model_of):
    twice = pl.concat([wine.frame, wine.frame.head(20).with_columns(id="again " + pl.col("id"))])
    model = model_of(twice, basis="linear", l2=0.05)
    for row, alike in enumerate(neighbours(model.trained, model.scores, np.arange(20))):
        same = {m.other: m.similarity for m in alike}
        assert same[178 + row] == pytest.approx(1.0, abs=1e-9)


def test_fewer_neighbours_where_a_class_is_small(wine, model_of):
    few = wine.frame.with_columns(y=pl.Series(["one", "two", "two", *["many"] * 175]))
    model = model_of(few, basis="linear", l2=0.05)
    (alike,) = neighbours(model.trained, model.scores, np.array([0]))
    assert model.target.y[0] not in [model.target.y[m.other] for m in alike], "it has no sibling"
    (alike,) = neighbours(model.trained, model.scores, np.array([1]))
    assert [m.other for m in alike if model.target.y[m.other] == model.target.y[1]] == [2]


def test_tables_name_neighbours_by_row_and_say_whose_label_they_have(wine_audit):
    labels = dict(wine_audit.labels.select("row_id", "label").rows())
    suggested = dict(wine_audit.labels.select("row_id", "suggested_label").rows())
    for row_id, _, other, label, _, same in wine_audit.findings.neighbours.rows():
        assert labels[other] == label
        assert same == (label == labels[row_id])
        assert label in (labels[row_id], suggested[row_id])


def test_a_users_own_model_has_evidence_by_feature(wine):
    from sklearn.linear_model import LogisticRegression

    X = wine.frame.drop("id", "y")
    model = LogisticRegression(C=0.01, tol=1e-10, max_iter=10_000, solver="newton-cholesky").fit(
        X, wine.frame["y"]
    )
    audit = dataaudit.audit_labels(wine.frame, label="y", id="id", model=model, top=5, verify=0)
    names = list(model.classes_)
    labels = {row["row_id"]: row for row in audit.labels.iter_rows(named=True)}
    for row_id, _, column, _, cell, value in audit.findings.evidence.rows():
        row = labels[row_id]
        label, other = names.index(row["label"]), names.index(row["suggested_label"])
        j = X.columns.index(column)
        cells = wine.frame.filter(pl.col("id") == row_id)
        above_average = cells[column].item() - X[column].mean()
        assert value == pytest.approx(above_average * (model.coef_[label, j] - model.coef_[other, j]))
        assert cell == str(cells[column].item())


def test_words_that_are_frequent_in_both_classes_are_no_reason():
    rng = np.random.default_rng(0)
    own = {"garden": ["rose", "soil", "seed", "bloom"], "harbour": ["ship", "crane", "dock", "tide"]}
    labels = rng.choice(list(own), 240)
    texts = [
        " ".join(rng.permutation(["der", "die", *rng.choice(own[label], 3), *rng.choice(["a1", "b2"], 1)]))
        for label in labels
    ]
    labels[:6] = np.where(labels[:6] == "garden", "harbour", "garden")
    frame = pl.DataFrame({"text": texts, "label": labels})
    audit = dataaudit.audit_labels(frame, label="label", text="text", verify=0, top=20)
    shown = audit.findings.evidence
    assert set(shown["level"]) <= {word for words in own.values() for word in words}
    assert shown["row_id"].n_unique() == 20
    # The model has them all the same.
    assert audit.findings.provenance.n_features >= 12


def test_cells_hold_the_passage_with_the_evidence_and_columns_beyond_the_first():
    rng = np.random.default_rng(1)
    labels = rng.choice(["no", "yes"], 160)
    wide = {f"x{at:02}": rng.normal(size=160) for at in range(50)}
    wide["x49"] = (labels == "yes") * 4 + wide["x49"]
    labels[:5] = np.where(labels[:5] == "no", "yes", "no")
    audit = dataaudit.audit_labels(pl.DataFrame({**wide, "y": labels}), label="y", verify=0, top=5)
    first = audit.findings.cells.filter(row_id=audit.labels["row_id"][0])["column"].to_list()
    assert first == sorted(first)
    assert "x49" in first

    far = ["filler " * 300 + ("cheap watch" if label == "yes" else "kind regards") for label in labels]
    texts = pl.DataFrame({"text": far, "y": labels})
    audit = dataaudit.audit_labels(texts, label="y", text="text", verify=0, top=5)
    kept = audit.findings.cells.filter(row_id=audit.labels["row_id"][0])["cell"][0]
    assert len(kept) <= KEPT
    assert kept.endswith(("cheap watch", "kind regards"))
