"""What fixes are worth: measured against refits, causes before by-products, nothing where nothing is."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from dataaudit.audits.mismatch.suspects import Suspect
from dataaudit.audits.mismatch.world import World
from dataaudit.audits.mismatch.worth import judge, severity_of, tried
from dataaudit.audits.testset import predict, read_pair
from dataaudit.options import MismatchOptions
from dataaudit.training.encoded import encode_training
from dataaudit.training.train import train


@dataclass(frozen=True)
class Without:
    """Training rows that are left out."""

    rows: np.ndarray
    name: str = "remove"
    detail: str = "rows left out"
    advice: str = "Leave them out."

    def apply(self, world, *, exact):
        """Refit."""
        return world.without_rows(self.rows, exact=exact)


@dataclass(frozen=True)
class Divided:
    """A column of test on its own scale again."""

    column: str
    by: float
    name: str = "scale"
    detail: str = "divided"
    advice: str = "Divide it."

    def apply(self, world, *, exact):
        """Predict again."""
        del exact
        return world.with_cells(world.new[self.column] / self.by)


def rows(n, seed):
    """Return rows whose label follows x and z, in shops of which one may be labelled wrongly."""
    random = np.random.default_rng(seed)
    x, z = random.normal(size=(2, n)) + 1.0
    y = np.where(random.random(n) < 1 / (1 + np.exp(4 - 2 * x - 2 * z)), "yes", "no")
    return pl.DataFrame({"x": x, "z": z, "shop": random.choice(list("abcd"), n), "y": y})


def world_of(known, new):
    """Return the world of two tables."""
    settings = MismatchOptions(label="y", l2=1e-3)
    pair = read_pair(known, new, settings)
    trained = train(encode_training(pair.train, pair.target, settings), settings)
    return World.of(trained, pair.train.frame, predict(trained, pair.test, pair.y), seed=0)


def suspects():
    """Return a column of another scale, a slice of rows, and rows that nothing is wrong with."""
    shop = np.flatnonzero((KNOWN["shop"] == "a").to_numpy())
    column = Suspect("column", "scaled", ("x",), "x is scaled", (Divided("x", 3.0),), p_value=0.0)
    slice_ = Suspect("slice", "labels", ("shop",), "shop a", (Without(shop),), ("a",), train=shop)
    nothing = Suspect("slice", "labels", ("z",), "z", (Without(np.arange(300, 330)),), ("< 0",))
    cut = Suspect("slice", "labels", ("x",), "x", (Divided("x", 2.0),), ("≥ 2",))
    return [nothing, cut, slice_, column]


KNOWN = rows(800, 0)
WRONG = KNOWN.with_columns(y=pl.when(pl.col("shop") == "a").then(pl.lit("yes")).otherwise("y"))
NEW = rows(600, 1)
SCALED = NEW.with_columns(x=pl.col("x") * 3)


@pytest.fixture(scope="module")
def both():
    """Return the world in which both faults are."""
    return world_of(WRONG, SCALED)


def test_the_gain_of_a_fix_is_what_a_refit_without_the_rows_shows(both):
    shop = suspects()[2]
    after = shop.fixes[0].apply(both, exact=True).evaluation
    left = WRONG.filter(pl.col("shop") != "a")
    settings = MismatchOptions(label="y", l2=1e-3 * len(WRONG) / len(left))
    pair = read_pair(left, SCALED, settings)
    trained = train(encode_training(pair.train, pair.target, settings), settings)
    apart = predict(trained, pair.test, pair.y).loss.mean()
    assert after.loss.mean() == pytest.approx(apart, rel=0.05)  # numbers are scaled by other rows
    (trial,) = tried(shop, both).trials
    assert trial.worth == pytest.approx(both.evaluation.loss.sum() - after.loss.sum(), rel=0.05)


def test_two_faults_are_two_causes_and_what_they_cause_is_folded(both):
    judged = judge(suspects(), both)
    causes = [one for one in judged if one.under is None and one.severity != "note"]
    assert [one.suspect.title for one in causes] == ["x is scaled", "shop a"]
    assert causes[0].best.predicted is None
    assert causes[1].best.measured < 0
    assert causes[1].best.errors[0] == causes[0].best.errors[1], "judged once the first is fixed"
    (folded,) = [one for one in judged if one.under is not None]
    assert (folded.suspect.levels, folded.under) == (("≥ 2",), 0)
    assert folded.left < 0.5
    assert judged[-1].suspect.title == "z"


def test_nothing_is_found_where_nothing_is():
    world = world_of(KNOWN, NEW)
    alone = [tried(one, world) for one in suspects()]
    assert {severity_of(one, screened=True) for one in alone} == {"note"}
    assert {one.severity for one in judge(suspects(), world)} == {"note"}


def test_a_step_is_near_the_refit(both):
    fast, slow = (suspects()[2].fixes[0].apply(both, exact=exact) for exact in (False, True))
    np.testing.assert_allclose(fast.evaluation.loss.mean(), slow.evaluation.loss.mean(), rtol=1e-3)


def test_no_refits_are_made_where_none_are_asked_for(both):
    assert all(one.best.measured is None for one in judge(suspects(), both, prove=0))
