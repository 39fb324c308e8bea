"""A module trained again from where it stands, against what influence predicts; influences kept on disk."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from dataaudit import ModuleInfluence, ModuleModel
from dataaudit.errors import SettingError
from dataaudit.influence.retrain import Refit
from dataaudit.model.torch import TensorRows

L2 = 0.01


@pytest.fixture(scope="module")
def rows():
    drawn = torch.Generator().manual_seed(0)
    X = torch.randn(80, 3, generator=drawn)
    y = (X[:, 0] + 0.5 * X[:, 1] ** 2 + 0.7 * torch.randn(80, generator=drawn) > 0.5).long()
    return X, y


@pytest.fixture(scope="module")
def model(rows):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    refit = Refit(ModuleModel(net.double(), cross_entropy), torch.full((26,), L2).double(), 0.0)
    theta = refit.run(TensorRows(rows[0].double(), rows[1]), torch.ones(80).double(), seed=0)
    return ModuleModel(net, cross_entropy, l2=L2).moved(theta, torch.float64)


@pytest.fixture(scope="module")
def influence(model, rows):
    return ModuleInfluence(model, (rows[0].double(), rows[1]))


@pytest.fixture(scope="module")
def unseen(rows):
    return rows[0][:5].double(), rows[1][:5]


def test_the_weight_decay_is_that_of_the_model(model, influence):
    assert influence.at_minimum
    assert bool((influence.ridge == L2).all())
    assert float(model.ridge(0.0).max()) == 0.0


def test_removing_rows_does_what_the_newton_step_says(model, rows, unseen):
    influence = ModuleInfluence(model, (rows[0].double(), rows[1]), damping=0.01)
    chosen = influence.self_influence().argsort()[40:44].tolist()  # neither still nor far
    measured = influence.measured(chosen, unseen, seeds=2)
    predicted = influence.without(chosen, unseen)
    assert measured.shape == (4, 5)
    both = torch.stack([measured.flatten(), predicted.flatten()])
    assert float(torch.corrcoef(both)[0, 1]) > 0.97


def test_seeds_begin_elsewhere_and_end_at_one_minimum(influence):
    once, again, other = (influence.retrain(seed=seed).theta for seed in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.allclose(once, influence.theta, atol=1e-3)
    assert torch.allclose(other, influence.theta, atol=1e-3)


def test_other_targets_lead_elsewhere_and_the_module_stays(influence, rows):
    before = influence.theta.clone()
    moved = influence.retrain(y=1 - rows[1])
    assert float((moved.theta - before).norm()) > 0.1
    assert torch.equal(influence.model.theta, before)
    assert influence.measured([], (rows[0].double(), rows[1])).shape == (0, 80)
    with pytest.raises(SettingError, match="rows must lie between"):
        influence.retrain(without=[80])


def test_without_decay_damping_holds_a_module_near(rows):
    torch.manual_seed(1)
    bare = ModuleModel(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double(), cross_entropy)
    theta = bare.theta
    refits = [
        Refit(bare, torch.zeros(26).double(), damping).run(
            TensorRows(rows[0].double(), rows[1]), torch.ones(80).double(), seed=0
        )
        for damping in (10.0, 0.01)
    ]
    near, far = (float((refit - theta).norm()) for refit in refits)
    assert near < far / 5


def test_influences_are_kept_on_disk_and_read_again(model, rows, unseen, tmp_path, monkeypatch):
    train, folder = (rows[0].double(), rows[1]), tmp_path / "kept"
    first = ModuleInfluence(model, train, folder=folder)
    found = first.up_loss(unseen), first.self_influence()
    files = sorted(folder.iterdir())
    assert [one.name.split("-")[0] for one in files] == ["influence", "own", "solve"]
    again = ModuleInfluence(model, train, folder=folder)
    monkeypatch.setattr(again, "inverse", replace(again.inverse, solve=None))  # nothing is solved for again
    assert torch.equal(again.up_loss(unseen), found[0])
    assert torch.equal(again.self_influence(), found[1])
    files[1].write_bytes(files[1].read_bytes()[:50])  # half a file
    assert torch.equal(ModuleInfluence(model, train, folder=folder).self_influence(), found[1])
    with pytest.warns(UserWarning, match="did not end at a minimum"):
        other = ModuleInfluence(model, (train[0], 1 - train[1]), folder=folder)
    assert not torch.equal(other.self_influence(), found[1])
    assert len(list(folder.iterdir())) == 4
