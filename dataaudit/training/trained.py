"""A model at its minimum with its inverse Hessian: what every audit of training rows starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.features import Basis, Columns, Encoding, Feature, Role
from dataaudit.features.target import Quantity, same_class
from dataaudit.influence.influence import leverage, self_influence
from dataaudit.influence.leave_one_out import leave_one_out_scores, relabelled_scores
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Loss, Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import Block, times
from dataaudit.options import NOT_KEPT, Checkpoint
from dataaudit.solvers import Prepared
from dataaudit.solvers.newton import Fit, FitSettings, minimise
from dataaudit.statistics import robust_scale
from dataaudit.training.adopt import Adopted
from dataaudit.training.selection import Candidate

if TYPE_CHECKING:
    from dataaudit.influence.groups import Groups
    from dataaudit.training.checks import Check
    from dataaudit.training.networks.network import Network


# Keeps the slope of the calibration finite where left-out margins separate the classes wholly.
CALIBRATION_L2 = 1e-5
CALIBRATED = FitSettings(tolerance=1e-13, max_steps=200)
# Where they say nothing, the order of rows by margin stays.
LEAST_SLOPE = 1e-3
USUAL = 0.95  # share of left-out rows that are predicted as usual, where labels are numbers
GROUPED = 512  # rows and scores of groups that are solved for at a time, where joint forms are estimates
SOLVED = 128  # exact forms times scores that are solved for, and kept, together


@dataclass(frozen=True)
class Described:
    """The columns of the rows, read as numbers, levels and words."""

    encoding: Encoding
    columns: Columns


@dataclass(frozen=True)
class Encoded(Described):
    """How the scores come from the columns; absent where the user's own pipeline did it."""

    basis: Basis  # from columns to the design matrix


@dataclass(frozen=True)
class Trained:
    """The fitted model and what explains it."""

    objective: Objective
    fit: Fit
    prepared: Prepared
    features: tuple[Feature, ...]  # one per column of X
    classes: tuple[str, ...]  # names; the first is the reference
    basis: str  # name of the basis, for people
    curve: tuple[Candidate, ...]  # what was tried on the way to λ and the basis; empty where they were given
    encoded: Encoded | None  # for evidence by source column
    notes: tuple[str, ...] = ()
    adopted: Adopted | None = None  # the user's own model, if it is one
    groups: Groups | None = None  # rows that leave together; None where every row leaves alone
    checks: tuple[Check, ...] = ()  # of the rows, made before the model
    given: Tensor | None = None  # (n, k, k) quadratic forms, where those of some rows were made exact
    exact: NDArray[np.bool_] | None = None  # (n,) of which rows; None where all of them are
    solved: Mapping[tuple[int, ...], Tensor] = field(default_factory=dict)  # exact joint forms, by rows
    quantity: Quantity | None = None  # what the targets are, where they are numbers: then `classes` is empty
    network: Network | None = None  # the user's own, if it is one
    table: Described | None = None  # the columns of a model that makes features of its own

    @property
    def described(self) -> Described | None:
        """The columns, whether or not the model's features are made of them."""
        return self.encoded or self.table

    @property
    def roles(self) -> tuple[Role, ...]:
        """Roles of the source columns, where the tool chose them."""
        return self.described.encoding.roles if self.described else ()

    @cached_property
    def same_class(self) -> np.ndarray | None:
        """Which classes are spellings of one."""  # (K, K)
        return same_class(self.classes)

    def design(self, given: pl.DataFrame | Columns) -> np.ndarray | csr_array:
        """Return the model's features of new rows of the same columns, encoded or not."""  # -> (b, d)
        if self.encoded is not None:
            columns = given if isinstance(given, Columns) else self.encoded.encoding.transform(given)
            return self.encoded.basis.transform(columns)
        if self.network is not None and isinstance(given, pl.DataFrame):
            return self.network.design(given)
        if self.adopted is None:
            raise SettingError("this model has no way from columns to features", "leave model out")
        if isinstance(given, Columns):
            raise SettingError("a fitted model takes columns as they are", "give a frame")
        return self.adopted.design(given)

    def probabilities(self, given: pl.DataFrame | Columns) -> np.ndarray:
        """Return the probability of every class for new rows of the same columns."""  # -> (b, K)
        return self.log_probabilities(self.scored(given)).exp().numpy()

    def scored(self, given: pl.DataFrame | Columns) -> Tensor:
        """Return the scores of new rows of the same columns."""  # -> (b, k)
        X = self.design(given)
        Theta = self.objective.model.matrix(self.fit.theta)
        return times(torch.from_numpy(X) if isinstance(X, np.ndarray) else X, Theta[:-1]) + Theta[-1]

    def mates(self, row: int) -> np.ndarray:
        """Return the rows that leave training with one, itself among them."""  # -> (m,)
        return np.array([row]) if self.groups is None else self.groups.mates(row)

    def apart(self, order: np.ndarray) -> np.ndarray:
        """Return the rows of an order that are the first of their groups in it."""  # (m,) -> (g,)
        if self.groups is None:
            return order
        first = np.unique(self.groups.group[order], return_index=True)[1]
        apart: np.ndarray = order[np.sort(first)]
        return apart

    @property
    def way(self) -> str:
        """What the scores of rows rest on besides the fit: it depends on the memory that is free."""
        return f"{self.prepared.method}, {self.prepared.probes}"

    @cached_property
    def forms(self) -> Tensor:
        """Quadratic forms Q of all rows."""  # (n, k, k)
        return self.prepared.quadratic_forms() if self.given is None else self.given

    def sharpened(self, rows: NDArray[np.int64], kept: Checkpoint = NOT_KEPT) -> Trained:
        """Return the same with exact forms for some rows, where those of all are estimates."""  # (m,)
        forms = self.forms.clone()
        exact = np.zeros(len(forms), dtype=bool) if self.exact is None else self.exact.copy()
        if self.prepared.exact_forms is not None:
            wanted = torch.from_numpy(rows)
            units = None if self.groups is None else self.groups.partition.units
            if self.groups is not None and units is not None:  # the rows of a unit have the same
                wanted = torch.unique(self.groups.partition.first[units[wanted]])
            for number, at in enumerate(torch.split(wanted, SOLVED // forms.shape[1] or 1)):
                solve = partial(self.prepared.exact_forms, at[:, None])
                forms[at] = kept.once(f"{number}", solve)
            if self.groups is not None and units is not None:
                alike = torch.isin(units, units[wanted])
                forms[alike] = forms[self.groups.partition.first[units[alike]]]
                exact[alike.numpy()] = True
        exact[rows] = True
        return replace(self, given=forms, exact=exact, solved=self._solved(rows))

    def _solved(self, rows: NDArray[np.int64]) -> dict[tuple[int, ...], Tensor]:
        """Return the exact joint forms of groups: those before, and of some of the rows."""
        solved, room = dict(self.solved), GROUPED
        if self.groups is None or self.prepared.exact_forms is None:
            return solved
        units = self.groups.partition.units[torch.from_numpy(rows)]
        for batch in self.groups.partition.batches:
            (_, d), k = batch.shape, self.forms.shape[1]
            taken = self.groups.partition.first[batch.clamp_min(0)][torch.isin(batch, units).any(1)]
            if d > 1 and d * k <= self.prepared.probes:
                names = [name for name in map(tuple, taken.tolist()) if name not in solved][: room // (d * k)]
                room -= len(names) * d * k
                if names:
                    solved.update(zip(names, self.prepared.exact_forms(torch.tensor(names)), strict=True))
        return solved

    @cached_property
    def estimated(self) -> NDArray[np.bool_]:
        """Rows of which forms are estimates, their own or those of their groups."""  # (n,)
        found = np.full(len(self.forms), self.prepared.probes > 0)
        if self.exact is not None:
            found &= ~self.exact
        if self.groups is not None and self.prepared.probes and self.prepared.changed is None:
            partition = self.groups.partition
            joint = torch.zeros(len(partition.first), dtype=torch.bool)
            for batch in partition.batches:
                if batch.shape[1] > 1:
                    names = partition.first[batch.clamp_min(0)].tolist()
                    left = batch[[name not in self.solved for name in map(tuple, names)]]
                    joint[left[left >= 0]] = True
            found |= joint[partition.units].numpy()
        return found

    def _joint_forms(self, rows: Tensor) -> Tensor:
        """Return the joint forms of groups of rows, exact where these were solved for."""
        forms = self.prepared.joint_forms(rows)  # (g, d) -> (g, dk, dk)
        known = [(at, name) for at, name in enumerate(map(tuple, rows.tolist())) if name in self.solved]
        if known:
            forms = forms.clone()
            forms[[at for at, _ in known]] = torch.stack([self.solved[name] for _, name in known])
        return forms

    @cached_property
    def left_out(self) -> Tensor:
        """Scores of all rows without themselves, and without their groups."""  # (n, k)
        return self.left_out_of(self.objective, self.fit.theta)

    def left_out_of(self, objective: Objective, theta: Tensor) -> Tensor:
        """Return those scores for an objective and parameters near these, by the same forms."""  # -> (n, k)
        if self.groups is None:
            return leave_one_out_scores(objective, theta, self.forms)
        from dataaudit.influence import groups  # noqa: PLC0415 - few tables have groups

        partition, k = self.groups.partition, self.forms.shape[1]
        joint: Callable[[Tensor], Tensor] = self._joint_forms
        if not self.prepared.probes:
            joint = groups.few_at_once(joint, partition, k)
        return groups.scores_without_groups(
            objective,
            theta,
            self.forms,
            joint=joint,
            partition=partition,
            precondition=self.prepared.precondition,
        )

    @cached_property
    def calibration(self) -> tuple[float, float]:
        """Slope and shift by which scores become log-odds: 1 and 0 if they are, else as left-out rows say.

        A logistic regression of the labels on the left-out margins (Platt 1999).
        """
        if isinstance(self.objective.model.loss, Softmax) or self.quantity is not None:
            return 1.0, 0.0
        rows = replace(self.objective.rows, X=self.left_out)
        # Where margins separate the classes the curvature is that small ridge: a loose fit is a loose slope.
        odds = minimise(Objective(rows, LinearModel(Softmax(2), 1), CALIBRATION_L2), settings=CALIBRATED)
        a, b = odds.theta.tolist()
        return max(a, LEAST_SLOPE), b

    def log_odds(self, s: Tensor) -> Tensor:
        """Return scores as log-odds against the first class."""  # (b, k) -> (b, k)
        a, b = self.calibration
        return s if (a, b) == (1.0, 0.0) else a * s + b

    def log_probabilities(self, s: Tensor) -> Tensor:
        """Return the log-probability of every class at some scores; of numbers there is none."""
        if self.quantity is not None:  # (b, k) -> (b, K)
            return s.new_empty(len(s), 0)
        return Softmax(len(self.classes)).log_probabilities(self.log_odds(s))

    def in_noise_unit(self) -> Trained:
        """Return the same with measurements in units of the noise, by rows that are left out."""
        quantity = self.quantity
        if quantity is None or quantity.is_count:
            return self
        y = self.objective.rows.y
        noise = robust_scale((y - self.left_out[:, 0]).numpy())
        rows, fit = self.objective.rows, replace(self.fit, theta=self.fit.theta / noise)
        objective = replace(self.objective, rows=replace(rows, y=y / noise))
        fit = replace(fit, gradient_norm=float(objective.gradient(fit.theta).abs().max()))
        curve = tuple(
            replace(c, loo_loss=c.loo_loss / noise**2, standard_error=c.standard_error / noise**2)
            for c in self.curve
        )
        quantity = quantity.in_unit(quantity.unit * noise)
        return replace(self, objective=objective, fit=fit, quantity=quantity, curve=curve)

    @property
    def judged(self) -> Loss:
        """The loss in nats, whatever loss the model was trained with."""
        return Softmax(len(self.classes)) if self.quantity is None else self.objective.model.loss

    def loss(self, s: Tensor, y: Tensor) -> Tensor:
        """Return that loss of each row."""
        return self.judged.value(self.log_odds(s), y)  # (b, k), (b,) -> (b,)

    def without_gross(self) -> Trained:
        """Return a fit to measurements with gross values cut off, lest they hide behind a fit to them."""
        if self.quantity is None or self.quantity.is_count:
            return self
        objective = self.objective.relabelled(torch.from_numpy(self.quantity.screened))
        near = self.prepared.solve  # the Hessian does not know the values
        fit = minimise(objective, self.fit.theta, precondition=near).require_converged()
        return replace(self, objective=objective, fit=fit)

    def label_names(self, y: NDArray[Any], *, exact: bool = True) -> list[str]:
        """Return labels as people write them; of numbers those that are predicted are rounded."""  # (m,)
        if self.quantity is None:
            return [self.classes[one] for one in y.tolist()]
        noise = np.zeros(len(y)) if exact else np.full(len(y), self.quantity.unit)
        return self.quantity.texts(self.quantity.decoded(y), noise)

    def predictions(self, s: Tensor) -> list[str]:
        """Return what scores predict, as people write it."""  # (b, k)
        if self.quantity is None:
            return self.label_names(torch.nn.functional.pad(self.log_odds(s), (1, 0)).argmax(1).numpy())
        return self.label_names(self.quantity.coded(self.quantity.of_scores(s[:, 0].numpy())), exact=False)

    @cached_property
    def usual_loss(self) -> float:
        """The loss that all but a few rows do not exceed when they are left out: of numbers, in nats."""
        return float(torch.quantile(self.loss(self.left_out, self.objective.rows.y), USUAL))

    def wrong(self, s: Tensor, y: Tensor) -> NDArray[np.bool_]:
        """Return which rows are mispredicted: another class, or a number that is unusually far off."""
        if self.quantity is not None:  # (b, k), (b,) -> (b,)
            return np.asarray((self.loss(s, y) > self.usual_loss).numpy())
        odds = torch.nn.functional.pad(self.log_odds(s), (1, 0))  # the reference class has score 0
        return np.asarray((odds.argmax(1) != y).numpy())

    def loss_slope(self, s: Tensor, y: Tensor) -> Tensor:
        """Return the slope of that loss in the scores, at a fixed calibration."""
        a, _ = self.calibration
        return a * self.judged.slope(self.log_odds(s), y)  # (b, k), (b,) -> (b, k)

    def loss_gradient(self, rows: Block) -> Tensor:
        """Return the gradient of the sum of those losses over rows."""  # -> (p,)
        s = self.objective.model.scores(self.fit.theta, rows)
        pull = rows.weight[:, None] * self.loss_slope(s, rows.y)
        return self.objective.model.pull(rows, pull[:, :, None])[:, 0]


@dataclass(frozen=True)
class RowScores:
    """Everything that one factorisation says about every row; all float64, losses in nats."""

    p: np.ndarray  # (n, K) probabilities of the classes with the row in the training set
    loo_p: np.ndarray  # (n, K) and without, and without its group, as are all whose names begin with loo
    loo_scores: np.ndarray  # (n, k) scores without the row, in the model's own unit
    relabelled_scores: np.ndarray  # (n, k) and with the suggested label for it
    loo_log_odds: np.ndarray  # (n, k)
    suggested: np.ndarray  # (n,) the likeliest other class without the row, or what is predicted of it
    train_loss: np.ndarray  # (n,) loss of the given label with the row
    loo_loss: np.ndarray  # (n,) and without
    relabelled_loss: np.ndarray  # (n,) loss of the suggested label once the row carries it
    self_influence: np.ndarray  # (n,) magnitude of I_up,loss(z, z)
    leverage: np.ndarray  # (n,) share of its own fit that a row determines


def score_rows(trained: Trained) -> RowScores:
    """Score every training row, in their order."""
    objective, theta, forms = trained.objective, trained.fit.theta, trained.forms
    scores, without, y = objective.scores(theta), trained.left_out, objective.rows.y
    loo_p = trained.log_probabilities(without).exp()
    if (quantity := trained.quantity) is not None:  # a row that says what is predicted of it moves nothing
        relabelled, suggested = without, without[:, 0].exp() if quantity.is_count else without[:, 0]
    else:
        suggested = suggested_classes(trained, without, y)
        relabelled = relabelled_scores(objective, theta, forms, y=suggested)
    return RowScores(
        p=trained.log_probabilities(scores).exp().numpy(),
        loo_p=loo_p.numpy(),
        loo_scores=without.numpy(),
        relabelled_scores=relabelled.numpy(),
        loo_log_odds=trained.log_odds(without).numpy(),
        suggested=suggested.numpy(),
        train_loss=trained.loss(scores, y).numpy(),
        loo_loss=trained.loss(without, y).numpy(),
        relabelled_loss=trained.loss(relabelled, suggested).numpy(),
        self_influence=self_influence(objective, theta, forms).numpy(),
        leverage=leverage(objective, theta, forms).numpy(),
    )


def suggested_classes(trained: Trained, without: Tensor, y: Tensor) -> Tensor:
    """Return the likeliest other class of rows by their scores without themselves."""
    others = trained.log_probabilities(without).scatter(1, y[:, None], -torch.inf)  # (b, k), (b,) -> (b,)
    if (same := trained.same_class) is not None:  # another spelling of the class is no other class
        others[torch.from_numpy(same)[y]] = -torch.inf
    return others.argmax(1)
