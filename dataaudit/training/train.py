"""From encoded rows to a model at its minimum with its inverse Hessian: choose basis and λ → fit → invert."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch
from torch import Tensor

from dataaudit.data.dataset import Dataset
from dataaudit.errors import SettingError
from dataaudit.features import Basis, Columns
from dataaudit.features.columns import bytes_of
from dataaudit.features.target import Quantity, Target
from dataaudit.memory import hold, memory_limit, require_memory
from dataaudit.model.costs import Size, least_bytes
from dataaudit.model.device import CPU, require_device
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Loss, Normal, Poisson, SmoothHinge, Softmax
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows, ShardedRows
from dataaudit.options import NOT_KEPT, Checkpoint, StepCallback, TrainingOptions, ignore_progress, is_module
from dataaudit.options.progress import within
from dataaudit.solvers import Prepared
from dataaudit.solvers import prepare as invert
from dataaudit.solvers.base import one_thread, threads
from dataaudit.solvers.choose import few_solves, gram_ahead
from dataaudit.solvers.classes import Classes
from dataaudit.solvers.dual import Gram
from dataaudit.solvers.newton import Fit, minimise, minimise_by_classes, minimise_hinge
from dataaudit.solvers.operator import rough
from dataaudit.training.adopt import adopt
from dataaudit.training.checks import check_classes
from dataaudit.training.encoded import Training, adopted_groups, weighted
from dataaudit.training.selection import SelectionSettings, choose
from dataaudit.training.trained import Encoded, Trained

if TYPE_CHECKING:
    from dataaudit.data.scratch import Scratch

BasisKind = Literal["auto", "linear", "spline", "rbf"]
# Wide enough that one left-out row moves few others across the kink, and λ can be chosen by it.
HINGE = SmoothHinge(0.1)
BASES: dict[str, BasisKind] = {"svm": "linear", "rbf-svm": "rbf"}
CUTS: Final = 2  # times that basis and λ are chosen again, gross values cut off
MACHINE = (
    f"The model is a support vector machine, its hinge rounded over {HINGE.temperature:g} around the kink; "
    "probabilities are margins of left-out rows, calibrated. λ has the least left-out hinge loss."
)
RIDGE = "The model is a ridge regression; losses are half the squares of errors in units of the noise."
POISSON = "The model is a Poisson regression with a ridge; losses are half the deviance."
NOT_SPREAD = "Workers were asked for, but rows of texts or of thousands of levels stay in this process."


def train(
    training: Training,
    settings: TrainingOptions,
    *,
    scratch: Scratch | None = None,  # where X goes if the columns are on disk
    solves: bool = False,  # whether few solves are all that is asked of the inverse Hessian
    on_step: StepCallback = ignore_progress,
) -> Trained:
    """Choose basis and λ, fit to the minimum and invert the Hessian there."""
    if is_module(settings.model):
        from dataaudit.training.networks.tangent import train_module  # noqa: PLC0415 - few models are networks

        return train_module(training, settings, on_step=on_step)
    if training.target.quantity is not None and scratch is not None:
        scratch.kept = None  # features may be written again, in another basis
    found = _trained(training, settings, scratch, on_step, solves=solves)
    for number in range(CUTS):
        if found.quantity is None or found.quantity.is_count:
            break
        left_out = found.without_gross().left_out[:, 0].numpy()
        quantity = found.quantity.cut_at(found.quantity.of_scores(left_out))
        if quantity.cut is None or np.array_equal(quantity.cut, quantity.values):
            break
        again = replace(training, target=replace(training.target, quantity=quantity))
        there = settings.keeping(settings.kept.below(f"without gross values {number}"))
        found = _trained(again, there, scratch, on_step)
    return found


def _trained(
    training: Training,
    settings: TrainingOptions,
    scratch: Scratch | None,
    on_step: StepCallback,
    *,
    solves: bool = False,
) -> Trained:
    columns, target, quantity = training.columns, training.target, training.target.quantity
    if scratch is not None and not isinstance(columns, Columns):
        scratch.until_then.enter_context(one_thread())
    K = len(target.classes) or 2  # numbers have one score, as two classes
    if settings.device != CPU and (scratch is None or scratch.engine is None):  # else it is the workers'
        require_device(settings.device)
    loss = _loss(settings, quantity)
    require_machine(settings.model, K, texts=bool(columns.term_features))
    hold(training.nbytes)
    require_room(training, settings.solver)
    basis = BASES.get(settings.model, settings.basis) if settings.basis == "auto" else settings.basis
    kept = settings.kept
    model, grams = partial(LinearModel, loss or Softmax(K)), list[Callable[[], Gram] | None]()
    with threads(1) as pool:  # the choice of λ leaves a core idle
        selection = SelectionSettings(
            basis=basis,
            l2=settings.l2,
            seed=settings.seed,
            groups=training.groups,
            kept=kept,
            ahead=lambda rows: grams.append(gram_ahead(Objective(rows, model(rows.width), 1.0), pool)),
        )
        y = target.y if quantity is None else quantity.screened
        choice = kept.once(
            "choose λ", partial(choose, columns, y, K, settings=selection, loss=loss, on_step=on_step)
        )
    rows = rows_of(training, choice.basis, scratch=scratch, on_step=on_step).on(settings.device)
    idle = scratch is not None and scratch.engine is not None and not isinstance(rows, ShardedRows)
    objective = Objective(rows, model(rows.width), choice.l2)
    way = Inversion(settings.damping, settings.solver, next(iter(grams), None), solves=solves)
    fit, prepared, forms = fitted(objective, choice.theta, way, kept=kept, on_step=on_step)
    trained = Trained(
        given=forms,
        objective=objective,
        fit=fit,
        prepared=prepared,
        features=choice.basis.features,
        classes=target.classes,
        basis=choice.basis.name,
        curve=choice.curve,
        encoded=Encoded(training.encoding, columns, choice.basis),
        notes=(
            *training.encoding.notes,
            *training.notes,
            *_model_notes(loss),
            *((NOT_SPREAD,) if idle else ()),
            *inverse_notes(prepared),
        ),
        groups=training.groups,
        checks=training.checks,
        quantity=quantity,
    )
    return trained if quantity is None else trained.in_noise_unit()


def _loss(settings: TrainingOptions, quantity: Quantity | None) -> Loss | None:
    """Return the loss that is minimised; None for that of classes."""
    if quantity is not None:
        return Poisson() if quantity.is_count else Normal()
    return None if settings.model == "logistic" else HINGE


def _model_notes(loss: Loss | None) -> tuple[str, ...]:
    known: dict[type, str] = {SmoothHinge: MACHINE, Normal: RIDGE, Poisson: POISSON}
    return () if loss is None else (known[type(loss)],)


def rows_of(
    training: Training,
    basis: Basis,
    *,
    scratch: Scratch | None,
    on_step: StepCallback = ignore_progress,
) -> MemoryRows:
    """Return the rows of the model."""
    columns, weight = training.columns, torch.from_numpy(training.weight)
    quantity = training.target.quantity
    y = torch.from_numpy(training.target.y if quantity is None else quantity.coded(quantity.values))
    if isinstance(columns, Columns):
        X = basis.transform(columns)
        hold(bytes_of(X))
        return MemoryRows(torch.from_numpy(X) if isinstance(X, np.ndarray) else X, y, weight)
    from dataaudit.training.shards import design  # noqa: PLC0415 - few tables are so large

    return design(columns, basis, y=y, weight=weight, scratch=scratch, on_step=on_step)


@dataclass(frozen=True)
class Inversion:
    """How the Hessian is inverted."""

    damping: float
    solver: str = "auto"
    gram: Callable[[], Gram] | None = None  # of the rows, if it was begun with `gram_ahead`
    solves: bool = False  # whether few solves are all that is asked of the inverse


def fitted(
    objective: Objective,
    start: Tensor | None,
    way: Inversion,
    *,
    kept: Checkpoint = NOT_KEPT,
    on_step: StepCallback = ignore_progress,
) -> tuple[Fit, Prepared, Tensor | None]:
    """Fit to the minimum and invert the Hessian there; of rows on disk the forms come with that."""
    if isinstance(objective.rows, ShardedRows):
        from dataaudit.influence.passes import prepare_by_passes  # noqa: PLC0415 - few tables are so large

        return prepare_by_passes(objective, start, damping=way.damping, on_step=on_step, kept=kept)
    on_step("fit", 0, 2)
    is_hinge = isinstance(objective.model.loss, SmoothHinge)
    to_minimum = partial(minimise_hinge if is_hinge else minimise, objective, None if is_hinge else start)
    inverse = None
    if way.solves and few_solves(objective, way.solver, way.damping):
        begin = torch.zeros(objective.model.n_params, dtype=torch.float64) if start is None else start
        inverse = Classes.of(objective, begin)
        to_minimum = partial(minimise_by_classes, objective, begin, inverse)
    with within(on_step, "fit", parts=2):
        fit = kept.once("fit", partial(to_minimum, kept=kept.below("fit")))
    fit.require_converged()
    on_step("fit", 1, 2)
    prepared = invert(
        objective, fit.theta, solver=way.solver, damping=way.damping, gram=way.gram, inverse=inverse
    )
    on_step("fit", 2, 2)
    if prepared.probes:
        on_step(f"influence is estimated by {prepared.probes} random projections: {prepared.reason}", 1, 1)
    return fit, prepared, None


def inverse_notes(prepared: Prepared) -> list[str]:
    """Return in sentences what is not the exact inverse of the model's own Hessian."""
    notes = []
    if prepared.damping:
        added = f"Damping {prepared.damping:g} is added to the Hessian"
        notes.append(f"{added}: influences are smaller than those of the model itself.")
    if not prepared.exact:
        warned = rough(prepared.residual)
        notes.append(
            f"Influences by {prepared.method} are estimates: for random right-hand sides the system is "
            f"solved to a relative residual of {prepared.residual:.1e}. Refits and group steps are exact."
            + (f" {warned}" if warned else "")
        )
    return notes


def require_machine(model: str, n_classes: int, *, texts: bool) -> None:
    """Raise if the model does not support this number of classes, or texts."""
    if model != "logistic" and n_classes > 2:  # noqa: PLR2004 - one margin
        what = f"{model} tells two classes apart: the label has {n_classes}"
        raise SettingError(what, "use logistic, the default, which takes any number")
    if model == "rbf-svm" and texts:
        raise SettingError("rbf-svm has no kernel for text", "use svm instead, or --exclude the text")


def require_room(training: Training, solver: str) -> None:
    """Refuse, before any work, what no solver could hold, or the named one: the least of any basis counts."""
    columns, k = training.columns, max(len(training.target.classes) - 1, 1)
    d, whole = len(columns.features), isinstance(columns, Columns)
    size = Size(columns.n, d, k, columns.entries if whole and columns.terms.shape[1] else 0)
    named = {"dual": size.dual, "cholesky": size.primal}.get(solver)
    least = least_bytes(size) if named is None else named + size.forms
    what = f"influence for {size.n:,} rows, {d:,} features and {k + 1:,} classes"
    require_memory(whole * size.design + least, what, memory_limit())


def train_adopted(
    dataset: Dataset,
    target: Target,
    settings: TrainingOptions,
    *,
    on_step: StepCallback = ignore_progress,
) -> Trained:
    """Take the user's model as it is, and invert its Hessian where it stands."""
    on_step("fit", 0, 2)
    frame, weight, _ = weighted(dataset, settings)
    left_out = [settings.group] if settings.group and settings.group not in settings.features else []
    adopted = adopt(
        settings.model,
        frame.drop(dataset.target, *left_out),
        target.y,
        classes=target.classes,
        weight=torch.from_numpy(weight),
        refit=settings.refit,
    )
    on_step("fit", 1, 2)
    groups = adopted_groups(frame, target, adopted.objective.rows.X, settings=settings)
    norm, notes = adopted.fit.gradient_norm, [*adopted.notes, *(groups.notes if groups else ())]
    if not adopted.fit.converged:
        advice = "fit it with a smaller tol, name its sample_weight by weight=, or pass refit=True"
        notes.append(
            f"It is not at its minimum (gradient norm {norm:.1e}), which biases influence: {advice}."
        )
    prepared = invert(adopted.objective, adopted.fit.theta, solver=settings.solver, damping=settings.damping)
    notes += inverse_notes(prepared)
    on_step("fit", 2, 2)
    return Trained(
        objective=adopted.objective,
        fit=adopted.fit,
        prepared=prepared,
        features=adopted.features,
        classes=target.classes,
        basis="the model's own features",
        curve=(),
        encoded=None,
        notes=tuple(notes),
        adopted=adopted,
        groups=groups,
        checks=check_classes(target),
    )
