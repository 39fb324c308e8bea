"""A user's network on the rows of a table: its tangent model, and its true refits.

Audits ask of a model what `model.tangent` answers where the network stands: scores and losses of rows, what
their leaving does, and influence between training and test rows. What they prove by training again is proved
with the network itself (`influence.retrain`), by several seeds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import polars as pl
import torch
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.features.columns import counted
from dataaudit.features.target import class_texts
from dataaudit.influence.retrain import held_near
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.losses import Softmax
from dataaudit.model.rows import MemoryRows
from dataaudit.model.tangent import TangentModel, TangentObjective
from dataaudit.model.torch import ModuleModel, TensorRows
from dataaudit.options import StepCallback, TrainingOptions, ignore_progress
from dataaudit.solvers.base import Prepared, probe_residual, solved_forms
from dataaudit.solvers.cholesky import cholesky_solve
from dataaudit.solvers.newton import Fit
from dataaudit.training.encoded import Training
from dataaudit.training.networks.network import Network, is_bare
from dataaudit.training.trained import Described, Trained

STILL: Final = 1e-3  # gradient norm up to which a point counts as a minimum
LEAST: Final = 0.01  # of the mean curvature: least damping where parameters have no weight decay
SAME: Final = 1e-5  # relative difference up to which two losses are one
GROUPED: Final = 1024  # columns that are solved for at a time
TANGENT: Final = "the network, linear near where it stands"
NO_FILE: Final = (
    "Inputs and labels came as tensors: audit apply has no file to change. Rows are named by their number."
)


def train_module(
    training: Training, settings: TrainingOptions, *, on_step: StepCallback = ignore_progress
) -> Trained:
    """Take a network where it stands."""
    on_step("fit", 0, 2)
    given: ModuleModel = settings.model
    if settings.solver not in ("auto", "cholesky"):
        what = f"solver {settings.solver!r} is not for the audit of a module"
        raise SettingError(what, "leave it out; ModuleInfluence takes it")
    if training.target.quantity is not None:
        raise SettingError("a network's numbers are not audited, only its classes", "leave task out")
    frame, classes = training.dataset.frame, training.target.classes
    network = _network(given, training, float(settings.damping))
    X = torch.from_numpy(network.design(frame, settings.kept.below("fit")))
    on_step("fit", 1, 2)
    weight = torch.from_numpy(training.weight) * network.factor
    y = torch.from_numpy(training.target.y)
    model = TangentModel(Softmax(len(classes)), X.shape[1])
    q = model.n_params
    decay = network.ridge if q == len(network.theta) else network.ridge.mean().expand(q)
    zero, rows = torch.zeros(q, dtype=torch.float64), MemoryRows(X, y, weight)
    flat = TangentObjective(rows, model, float(network.ridge.mean()), zero, zero)
    start = flat.gradient(zero)
    whole = start + network.ridge * network.theta if q == len(network.theta) else start
    if not settings.damping:
        curvature = float(flat.hessian_diagonal(zero).mean())
        least = 0.0 if float(network.ridge.min()) > 0 else LEAST * curvature
        network = replace(network, damping=max(least, held_near(whole, network.theta)))
    objective = replace(flat, decay=decay + network.damping, start=start)
    prepared = _inverse(objective, zero, network)
    norm = float(whole.abs().max())
    on_step("fit", 2, 2)
    return Trained(
        objective=objective,
        fit=Fit(zero, norm, 0, STILL),
        prepared=prepared,
        features=(),
        classes=classes,
        basis=TANGENT,
        curve=(),
        encoded=None,
        notes=(*_notes(network, norm, q), *((NO_FILE,) if is_bare(frame) else ()), *training.notes),
        groups=training.groups,
        checks=training.checks,
        network=network,
        table=Described(training.encoding, training.columns),
    )


def _network(given: ModuleModel, training: Training, damping: float) -> Network:
    """Match the module's outputs and loss with the classes of the labels."""
    frame, classes = training.dataset.frame, training.target.classes
    if given.seeds < 1:
        raise SettingError(f"seeds must be 1 or more: got {given.seeds}", "leave it out")
    net = copy.deepcopy(given.net).double()
    model = replace(given, net=net)
    y = torch.from_numpy(training.target.y)
    bare = Network(
        model,
        given,
        frame,
        training.dataset.target,
        torch.ones(1),
        model.ridge(given.l2),
        damping,
        torch.ones(1),
        torch.ones(1),
    )
    X = bare.inputs(frame)
    outputs = model.outputs(model.theta, X[:2])
    order = _order(outputs, given, classes)
    network = replace(bare, order=order)
    if len(order) == 1:
        network.__dict__["_one"] = tuple(outputs.shape[1:])
    scores = network.scores(network.theta, X)
    own = torch.cat(
        [model.losses(network.theta, a, b) for a, b in TensorRows(X, network.targets(y)).blocks()]
    ).detach()
    ratio = own / Softmax(len(classes)).value(scores, y).clamp_min(1e-12)
    by_class = torch.stack([ratio[y == c].median() for c in range(len(classes))])
    sure = own > SAME
    if not bool((ratio / by_class[y] - 1.0)[sure].abs().max() <= SAME if sure.any() else True):
        what = "the module's loss is not the cross-entropy of its outputs, which audits of labels rest on"
        raise SettingError(what, "give F.cross_entropy, or look at ModuleInfluence, which takes any loss")
    return replace(network, weights=by_class, factor=by_class[y])


def _order(outputs: Tensor, given: ModuleModel, classes: Sequence[str]) -> Tensor:
    """Return the module's output of each class."""
    known = list(classes)
    if given.classes is not None:
        names = class_texts(pl.Series(list(given.classes))).to_list()
        if sorted(names) != sorted(known):
            shown = f"{', '.join(names[:5])}, the rows have {', '.join(known[:5])}"
            raise SettingError(f"the module's classes are {shown}", "give classes= as the labels are")
        order = [names.index(name) for name in known]
    else:
        order = list(range(len(known)))
    size = outputs.shape[1] if outputs.dim() == 2 else 1  # noqa: PLR2004 - rows and classes
    if outputs.dim() > 2:  # noqa: PLR2004 - the same
        raise SettingError(
            f"a row's output has shape {(*outputs.shape[1:],)}", "let it be one number a class"
        )
    if size == 1 and len(known) == 2:  # noqa: PLR2004 - log-odds of the second class
        return torch.tensor([order[1]])
    if size != len(known):
        what = f"the module has {counted(size, 'output')}, the labels have {len(known)} classes"
        raise SettingError(what, "give rows of all classes that it knows")
    return torch.tensor(order)


def _inverse(objective: TangentObjective, zero: Tensor, network: Network) -> Prepared:
    """Factor the Hessian."""
    q, p = objective.model.n_params, len(network.theta)
    require_memory(4 * 8 * q * q, f"a {q:,} × {q:,} Hessian", memory_limit())
    L, failed = torch.linalg.cholesky_ex(objective.hessian(zero))
    if failed:
        raise SettingError("the curvature of the network is singular", "give it damping, such as 0.01")
    solve = partial(cholesky_solve, L)
    folded = "" if p == q else f", folded to {q:,} columns"
    return Prepared(
        solve=solve,
        quadratic_forms=partial(_forms, objective, solve),
        joint_forms=partial(solved_forms, objective, solve),
        residual=probe_residual(objective, zero, solve),
        method="cholesky",
        reason=f"Gauss and Newton's curvature of {p:,} parameters{folded}, damping {network.damping:.3g}",
    )


def _forms(objective: TangentObjective, solve: Callable[[Tensor], Tensor]) -> Tensor:
    """Return the quadratic form of every row."""  # -> (n, k, k)
    k = objective.model.loss.n_scores
    parts: Iterator[Tensor] = (
        solved_forms(objective, solve, rows[:, None])
        for rows in torch.split(torch.arange(objective.rows.n), max(1, GROUPED // k))
    )
    return torch.cat(list(parts))


def _notes(network: Network, norm: float, q: int) -> tuple[str, ...]:
    """Return in sentences what numbers about a network rest on."""
    there = "at a minimum" if norm <= STILL else "not at a minimum"
    held = f"a pull of {network.damping:.3g} (damping) holds it near there"
    seeds = counted(network.given.seeds, "seed")
    how = f"train it again from where it stands, with {seeds} for each finding, one for a row; {held}"
    if network.given.retrain is not None:
        how = f"train it anew by your own retrain, {counted(network.given.seeds, 'seed')} each"
    folded = (
        "" if q == len(network.theta) else f" Its {len(network.theta):,} parameters were folded to {q:,}."
    )
    stands = (
        f"The model is your own network, {there} (gradient norm {norm:.1e}): what rows do is that of the "
    )
    return (
        f"{stands}network taken for linear there.{folded}",
        f"Proofs {how}. What training on does without the change is taken off.",
    )
