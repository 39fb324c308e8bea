"""Small real tables with known mistakes, and the audits of them that several tests look at."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits, load_wine

import dataaudit
from dataaudit.data.dataset import Dataset
from dataaudit.features.target import Target
from dataaudit.options import LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train
from dataaudit.training.trained import RowScores, Trained, score_rows

# Two topics, and the words that they share, as subjects do.
TOPICS = """
rose soil spade seed tulip compost hedge mulch blossom prune lawn fern orchard root bulb
anchor sail tide vessel dock mast cargo buoy crew keel rudder pilot pier ferry hull
the of and in with near early old new day walk light rain morning people
"""
GARDEN, HARBOUR, SHARED = (line.split() for line in TOPICS.strip().splitlines())


@dataclass(frozen=True)
class Planted:
    """A table whose labels are wrong in known rows; `row_id` is the column "id"."""

    frame: pl.DataFrame
    flipped: frozenset

    def found(self, labels, first):
        """Return the share of the wrong labels among the first rows of a list."""
        return len(self.flipped & set(labels["row"].head(first).to_list())) / len(self.flipped)


def plant(frame, names, y, *, share=0.1, seed=0):
    """Give `share` of the rows another class, drawn evenly from the others."""
    random, n, K = np.random.default_rng(seed), len(y), len(names)
    flipped = random.permutation(n)[: round(share * n)]
    y = y.copy()
    y[flipped] = (y[flipped] + random.integers(1, K, len(flipped))) % K
    columns = {"id": [f"row {i:04d}" for i in range(n)], "y": [names[label] for label in y]}
    return Planted(
        frame.with_columns(**{k: pl.Series(v) for k, v in columns.items()}), frozenset(flipped.tolist())
    )


def bundled(load, rows=None):
    bunch = load()
    frame = pl.DataFrame({str(name): bunch.data[:rows, j] for j, name in enumerate(bunch.feature_names)})
    return plant(frame, [str(name) for name in bunch.target_names], bunch.target[:rows])


@pytest.fixture(scope="session")
def cancer():
    """569 rows, 30 numbers, 2 classes; 57 labels are wrong."""
    return bundled(load_breast_cancer)


@pytest.fixture(scope="session")
def wine():
    """178 rows, 13 numbers, 3 classes; 18 labels are wrong."""
    return bundled(load_wine)


@pytest.fixture(scope="session")
def digits():
    """300 rows, 64 numbers, 10 classes; 30 labels are wrong."""
    return bundled(load_digits, 300)


@pytest.fixture(scope="session")
def words():
    """300 texts on two topics; 30 labels are wrong."""
    random = np.random.default_rng(1)
    y = random.integers(0, 2, 300)
    texts = [
        " ".join([*random.choice((GARDEN, HARBOUR)[topic], 4), *random.choice(SHARED, 8)]) for topic in y
    ]
    return plant(pl.DataFrame({"text": texts}), ["garden", "harbour"], y)


@pytest.fixture(scope="session")
def garden():
    """The words of the first topic of `words`."""
    return frozenset(GARDEN)


@pytest.fixture(scope="session")
def mixed(cancer):
    """200 rows of every kind of column, with missing cells; the numbers are real."""
    random = np.random.default_rng(2)
    n = 200
    real = cancer.frame.head(n)
    malignant = (real["y"] == "malignant").to_numpy()
    grade = np.where(random.random(n) < 0.7, malignant, ~malignant).astype(int)
    ward = [("north", "south", "east")[k] for k in (grade + random.integers(0, 2, n))]
    return pl.DataFrame(
        {
            "id": real["id"],
            "radius": real["mean radius"].set(pl.Series(random.random(n) < 0.1), None),
            "texture": real["mean texture"],
            "ward": [None if i % 19 == 0 else name for i, name in enumerate(ward)],
            "biopsied": random.random(n) < 0.3 + 0.4 * malignant,
            "scan": np.stack([real["mean area"], real["mean concavity"]], 1).tolist(),
            "day": pl.date_range(
                pl.date(2020, 1, 1), pl.date(2020, 1, 1) + pl.duration(days=n - 1), eager=True
            ),
            "remark": [
                " ".join([*random.choice((GARDEN, HARBOUR)[k], 3), *random.choice(SHARED, 6)]) for k in grade
            ],
            "y": real["y"],
        }
    )


@dataclass(frozen=True)
class Model:
    """What stands between reading a table and writing findings."""

    dataset: Dataset
    target: Target
    trained: Trained
    scores: RowScores


@pytest.fixture(scope="session")
def model_of():
    """Return the way from a frame to a trained model with its scores."""

    def build(frame, **settings):
        asked = LabelOptions(label="y", id="id", **settings)
        dataset, target = read_labelled(frame, asked)
        trained = train(encode_training(dataset, target, asked), asked)
        return Model(dataset, target, trained, score_rows(trained))

    return build


@pytest.fixture(scope="session")
def weighted():
    """Return the way to the same model with other row weights, refitted."""
    from dataaudit.solvers import choose_solver
    from dataaudit.solvers.newton import minimise

    def build(model, weight):
        objective = model.trained.objective.reweighted(torch.from_numpy(weight))
        fit = minimise(objective, model.trained.fit.theta).require_converged()
        prepared = choose_solver(objective).prepare(objective, fit.theta)
        trained = replace(model.trained, objective=objective, fit=fit, prepared=prepared)
        return replace(model, trained=trained, scores=score_rows(trained))

    return build


@pytest.fixture(scope="session")
def cancer_audit(cancer):
    return dataaudit.audit_labels(cancer.frame, label="y", id="id", basis="linear", verify=8, top=30)


@pytest.fixture(scope="session")
def wine_audit(wine):
    return dataaudit.audit_labels(wine.frame, label="y", id="id", verify=4, top=20)


@pytest.fixture(scope="session")
def digits_audit(digits):
    return dataaudit.audit_labels(digits.frame, label="y", id="id", basis="linear", verify=2, top=10)


@pytest.fixture(scope="session")
def words_audit(words):
    return dataaudit.audit_labels(words.frame, label="y", id="id", text="text", verify=4, top=30)
