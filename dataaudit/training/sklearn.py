"""Fitted scikit-learn classifiers on the features that they saw: what each of them really minimised.

With m the margin c s, c the labels as ±1, b the intercept and ω the class and row weights, they minimise::

    LogisticRegression   C Σ ω log-loss + ½‖w‖²          λ = 1/(nC), 0 without a penalty
    LinearSVC            C Σ ω loss + ½(‖w‖² + b²/q²)    λ = 1/(nC), q = intercept_scaling; hinge or squared
    SVC                  C Σ ω hinge + ½‖w‖²             λ = 1/(nC), w in the space of the kernel
    SGDClassifier        (1/n) Σ ω loss + (α/2)‖w‖²      λ = α
    RidgeClassifier      Σ ω (s - c)² + α‖w‖²            λ = α/n, and half the loss
    Ridge                Σ ω (s - y)² + α‖w‖²            λ = α/n, and half the loss; LinearRegression: λ = 0
    PoissonRegressor     (1/2n) Σ ω deviance + (α/2)‖w‖² λ = α

solver="liblinear" of LogisticRegression penalises its intercept as LinearSVC does. Whether a fit is at its
minimum is measured, not assumed: one is refused if a Newton step from there changes the rows' losses by more
than a twentieth on average, which no scale of a column has a part in. The hinge has no curvature, so the
coefficients move from its minimum to that of a smooth hinge near it (`solvers.newton`), where influence is
taken. For K symmetric sets of coefficients the differences to the first class are taken; the ridge's form is
the same (`model.linear`).

A kernel machine is a linear model in features whose inner products are the kernel. With K the kernel of the n
training rows and V diag(w) Vᵀ = K, rows z have the features

    F(z) = k(z, X) V diag(w)^(-1/2)

for the r eigenvalues that are above rounding: F F' = K on the training rows, and any function that training
can reach is linear in F with the norm that the machine penalises. Cost: n² d for K and 10 n³ for its
eigenvectors, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from torch import Tensor

from dataaudit.errors import FitError, NotConverged, SettingError
from dataaudit.features.rbf import gaussian
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.linear import LinearModel
from dataaudit.model.losses import Loss, Normal, Poisson, SmoothHinge, Softmax, Squared, SquaredHinge
from dataaudit.model.objective import Objective
from dataaudit.model.rows import MemoryRows
from dataaudit.solvers.newton import TEMPERATURE, Fit, FitSettings, minimise, minimise_hinge, subgradient_norm

Array = NDArray[np.float64]
OFF = 0.05  # of the rows' losses: what a Newton step may change if a point is to pass for a minimum
ANOTHER = (
    "That is far: what is audited is another model than the one given. If that one was fitted with weights, "
    "give them as sample_weight, or name their column under weight."
)
ONE_STEP = FitSettings(max_steps=1)
HINGES: dict[str, Loss] = {"hinge": SmoothHinge(TEMPERATURE), "squared_hinge": SquaredHinge()}
BY_SGD: dict[str, Loss] = {"log_loss": Softmax(2), **HINGES, "squared_error": Squared()}
CLASSIFIERS = ("LogisticRegression", "LinearSVC", "SVC", "SGDClassifier", "RidgeClassifier")
REGRESSORS = ("LinearRegression", "Ridge", "PoissonRegressor")
KINDS = (*CLASSIFIERS, *REGRESSORS)
# The ridge λτ that holds at 0 the intercept of a model without one, and the λ of one without a ridge as well.
HELD, BARELY = 2.0**40, 2.0**-46
# Models whose loss is a mean over weights, and fits of settings, with the setting that each looks for.
BY_MEAN = ("PoissonRegressor",)
SEARCHES = {"LogisticRegressionCV": "C", "RidgeCV": "alpha", "RidgeClassifierCV": "alpha"}
FITTED = (
    "coef_",
    "intercept_",
    "classes_",
    "n_features_in_",
    "feature_names_in_",
    "n_iter_",
    "_label_binarizer",
)
FLAT = 1e-12  # eigenvalues of a kernel below this share of the largest are rounding


@dataclass(frozen=True)
class KernelMap:
    """Features of an RBF kernel on its own training rows."""

    gamma: float  # γ in ``exp(-γ‖z - x‖²)``
    rows: Array  # (n, d)
    root: Array  # (n, r)

    def __call__(self, Z: Array | csr_array) -> Array:
        """Return the features of rows."""  # (b, d) -> (b, r)
        return np.asarray(gaussian(_dense(Z), self.rows, self.gamma) @ self.root)


@dataclass(frozen=True)
class Taken:
    """A classifier as an objective and a point."""

    objective: Objective
    fit: Fit  # its coefficients with the gradient norm that they really have, or the minimum near them
    kernel: KernelMap | None  # from rows to the features of the objective; None where they are the same
    notes: tuple[str, ...]  # what was made of it, in sentences


def unwrapped(model: Any) -> Any:
    """Return the fitted model inside a search over settings."""
    kind = type(model).__name__
    if hasattr(model, "best_estimator_"):  # GridSearchCV and its kin
        return unwrapped(model.best_estimator_)
    if kind == "Pipeline" and model.steps[-1][1] is not (last := unwrapped(model.steps[-1][1])):
        return type(model)([*model.steps[:-1], (model.steps[-1][0], last)])
    if kind in SEARCHES and hasattr(model, "coef_"):
        from sklearn import linear_model  # noqa: PLC0415 - costs a second

        found = {np.float64(value) for value in np.ravel(getattr(model, SEARCHES[kind] + "_"))}
        if len(found) > 1:
            what = f"the {kind} chose another {SEARCHES[kind]} for every class"
            raise SettingError(what, "fit one LogisticRegression with all classes")
        plain = getattr(linear_model, kind.removesuffix("CV"))()
        shared = {name: value for name, value in model.get_params().items() if name in plain.get_params()}
        plain.set_params(**shared | {SEARCHES[kind]: float(found.pop())})
        vars(plain).update({name: value for name, value in vars(model).items() if name in FITTED})
        return plain
    return model


def take(
    model: Any,  # one of `KINDS`, fitted with an l2 penalty or none
    X: NDArray[np.float64] | csr_array,  # (n, d)
    y: NDArray[np.int64] | Array,  # (n,) class numbers; of a regressor, numbers
    *,
    order: Sequence[int],  # for each class number, its position in the model's `classes_`; empty for numbers
    weight: Tensor | None = None,  # (n,) the sample_weight that it was fitted with, float64
    refit: bool = False,  # go from its coefficients to the minimum of its objective, however far
    temperature: float = TEMPERATURE,  # of the smooth hinge that stands for the hinge
) -> Taken:
    """Take a fitted classifier on the features that it saw."""
    require_supported(model)
    if X.shape[1] != model.n_features_in_:
        what = f"the model was fitted on {model.n_features_in_} features, these rows have {X.shape[1]}"
        raise FitError(what, "give the rows that it was fitted on")
    kernel = kernel_map(model, X) if getattr(model, "kernel", "") == "rbf" else None
    F = X if kernel is None else kernel(X)
    theta = _coefficients(model, list(order), kernel)
    omega = _weights(model, y, order, weight)
    omega = omega if weight is None else omega * weight
    loss, l2, intercept_ridge = _minimised(model, len(y))
    loss = SmoothHinge(temperature) if isinstance(loss, SmoothHinge) else loss
    if type(model).__name__ in BY_MEAN:  # over weights, where R is over rows
        omega = omega * (len(y) / float(omega.sum()))
    rows = MemoryRows(F if issparse(F) else torch.from_numpy(F), torch.from_numpy(y), omega)
    objective = Objective(rows, LinearModel(loss, rows.width, intercept_ridge), l2)
    if not getattr(model, "fit_intercept", True):  # where the ridge that stands for that has its minimum
        k, coupling = loss.n_scores, objective.model.coupling
        theta[-k:] -= torch.linalg.solve(coupling, objective.gradient(theta)[-k:]) / HELD
    fit, notes = _settled(objective, theta, steps=_steps(model), refit=refit)
    return Taken(objective, fit, kernel, notes)


def require_supported(model: Any) -> None:
    """Refuse a classifier whose kind, penalty or intercept is not covered."""
    kind = type(model).__name__
    if kind == "Pipeline":
        raise SettingError("model is a Pipeline", "give model[-1], and model[:-1].transform(X) as X")
    if kind not in KINDS:
        raise SettingError(f"model must be one of {', '.join(KINDS)}: got {kind}", "leave model out")
    if not hasattr(model, "n_features_in_"):
        raise SettingError(f"the {kind} is not fitted", "call fit first")
    penalty = getattr(model, "penalty", "l2")
    if kind != "SVC" and (penalty in ("l1", "elasticnet") or _l1_share(model) > 0):
        raise SettingError("an l1 penalty has no Hessian: got a model with one", "fit it with l2")
    if getattr(model, "positive", False) or getattr(model, "multi_class", "") == "crammer_singer":
        raise SettingError(f"this {kind} minimises another objective", "leave positive and multi_class alone")
    if np.ndim(getattr(model, "coef_", 0)) > 1 and kind in REGRESSORS:
        raise SettingError(f"a {kind} of several targets is one fit per target", "fit one at a time")
    if kind in REGRESSORS:
        return
    several = len(model.classes_) > 2  # noqa: PLR2004 - for two classes both are the same
    apart = kind != "LogisticRegression" or getattr(model, "multi_class", "auto") == "ovr"
    if several and (apart or model.solver == "liblinear"):
        what = f"a {kind} of {len(model.classes_)} classes is one fit per class"
        raise SettingError(what, "fit a multinomial LogisticRegression, or two classes at a time")
    if kind == "SGDClassifier" and model.loss not in BY_SGD:
        raise SettingError(f"loss {model.loss!r} is not covered", f"fit with {', '.join(BY_SGD)}")
    if kind == "SVC" and model.kernel not in ("rbf", "linear"):
        raise SettingError(f"kernel {model.kernel!r} is not covered", "fit with rbf or linear")


def _l1_share(model: Any) -> float:
    """Return the share of an l1 penalty, which `SGDClassifier` states even where it has none."""
    return 0.0 if type(model).__name__ == "SGDClassifier" else getattr(model, "l1_ratio", 0.0) or 0.0


def _minimised(model: Any, n: int) -> tuple[Loss, float, float]:
    """Return the loss, λ and the ridge on the intercept of a fitted model."""
    loss, l2, intercept_ridge = _penalised(model, n)
    if getattr(model, "fit_intercept", True):
        return loss, l2, intercept_ridge
    return loss, l2 or BARELY, HELD / (l2 or BARELY)


def _penalised(model: Any, n: int) -> tuple[Loss, float, float]:
    kind = type(model).__name__
    if kind in REGRESSORS:
        if kind == "PoissonRegressor":
            return Poisson(), float(model.alpha), 0.0
        return Normal(), float(getattr(model, "alpha", 0.0)) / n, 0.0
    if kind == "SGDClassifier":
        return BY_SGD[model.loss], float(model.alpha) if model.penalty is not None else 0.0, 0.0
    if kind == "RidgeClassifier":
        return Squared(), float(model.alpha) / n, 0.0
    free = getattr(model, "penalty", "l2") is None or np.isinf(model.C)  # older and newer way to say so
    l2 = 0.0 if free else 1.0 / (n * float(model.C))
    if kind == "SVC":
        return HINGES["hinge"], l2, 0.0
    liblinear = kind == "LinearSVC" or model.solver == "liblinear"
    intercept_ridge = float(model.intercept_scaling) ** -2 if liblinear else 0.0
    return HINGES[model.loss] if kind == "LinearSVC" else Softmax(len(model.classes_)), l2, intercept_ridge


def _settled(objective: Objective, theta: Tensor, *, steps: int, refit: bool) -> tuple[Fit, tuple[str, ...]]:
    """Measure how near to its minimum a model is; refuse it, or move it there where that is asked for."""
    require_minimum(objective, theta)
    hinge = isinstance(objective.model.loss, SmoothHinge)
    norm = subgradient_norm(objective, theta) if hinge else float(objective.gradient(theta).abs().max())
    there = minimise_hinge(objective, theta) if hinge else minimise(objective, theta, settings=ONE_STEP)
    off = _apart(objective, theta, there.theta) if there.steps else math.inf
    if not refit and norm > there.tolerance and off > OFF:
        what = f"the model is not at its minimum: gradient norm {norm:.1e}"
        how = f"moves the rows' losses by {off:.0%}" if there.steps else "cannot be made"
        advice = (
            "give the rows that it was fitted on, fit it with a smaller tol and more max_iter, or refit=True"
        )
        raise NotConverged(f"{what}, and a step towards it {how}", advice)
    if not (hinge or refit):
        short = f"; a step towards its minimum would move the rows' losses by {off:.2%}"
        note = "The model is the one given: its coefficients were not changed"
        return Fit(theta, norm, steps, there.tolerance), (note + short * (norm > there.tolerance) + ".",)
    fit = (there if hinge else minimise(objective, there.theta)).require_converged()
    moved = float((objective.scores(fit.theta) - objective.scores(theta)).abs().max())
    if hinge and not refit:
        note = f"The hinge was rounded over {objective.model.loss.temperature:g} around its kink"  # type: ignore[attr-defined]
    else:
        note = "The model was fitted further, to its minimum"
    far = f" {ANOTHER}" if refit and norm > there.tolerance and off > OFF else ""
    return fit, (f"{note}: gradient norm {norm:.1e} as given, scores moved by up to {moved:.2g}.{far}",)


def require_minimum(objective: Objective, theta: Tensor) -> None:
    """Raise if R has no minimum: without a ridge, classes that are separated wholly have none."""
    if objective.l2 or not isinstance(objective.model.loss, Softmax):
        return
    losses = objective.model.loss.value(objective.scores(theta), objective.rows.y)
    if float(losses[objective.rows.weight > 0].max()) < math.log(2.0):
        what = "every row is predicted right and there is no penalty, so that there is no minimum"
        raise NotConverged(what, "fit it with one, as C=1 has")


def _apart(objective: Objective, here: Tensor, there: Tensor) -> float:
    """Return the mean difference of the rows' losses at two points, as a share of their mean."""
    loss, rows = objective.model.loss, objective.rows
    old, new = (loss.value(objective.scores(theta), rows.y) for theta in (here, there))
    change, size = rows.weight @ (new - old).abs(), rows.weight @ (new + old) / 2
    return float(change / size) if float(size) else 0.0


def _steps(model: Any) -> int:
    """Return how many iterations a model says that it took."""
    n_iter = getattr(model, "n_iter_", None)
    return 0 if n_iter is None else int(np.max(n_iter))


def _coefficients(model: Any, order: list[int], kernel: KernelMap | None) -> Tensor:
    """Return θ: differences to our first class, features by scores, then the intercepts."""
    if kernel is not None:
        coef = np.asarray(model.dual_coef_ @ kernel(model.support_vectors_))
    else:
        coef = model.coef_.toarray() if issparse(model.coef_) else np.atleast_2d(model.coef_)
    table = np.column_stack([coef, np.atleast_1d(model.intercept_)])  # (K or 1, d+1)
    if len(order) <= 2:  # noqa: PLR2004 - one row of differences, class 1 to class 0 of theirs
        difference = -table if order == [1, 0] else table
    else:
        difference = table[order][1:] - table[order][:1]
    return torch.from_numpy(np.ascontiguousarray(difference.T, dtype=np.float64)).view(-1)


def _weights(model: Any, y: NDArray[Any], order: Sequence[int], weight: Tensor | None) -> Tensor:
    """Return ω from the model's class_weight."""  # -> (n,)
    if not order:
        return torch.ones(len(y), dtype=torch.float64)
    counted = weight.numpy() if weight is not None and _balances_weights(model) else None
    counts = np.bincount(y, weights=counted, minlength=len(order))
    if model.class_weight is None:
        per_class = np.ones(len(order))
    elif model.class_weight == "balanced":
        per_class = counts.sum() / (len(order) * counts)
    else:
        theirs = [model.class_weight.get(value, 1.0) for value in model.classes_.tolist()]
        per_class = np.array([theirs[position] for position in order])
    return torch.from_numpy(per_class[y].astype(np.float64))


def _balances_weights(model: Any) -> bool:
    """Return whether "balanced" counts weights and not rows, which is the version's choice."""
    from sklearn.utils.class_weight import compute_class_weight  # noqa: PLC0415 - costs a second

    by_weight = "sample_weight" in signature(compute_class_weight).parameters
    return by_weight and type(model).__name__ in {"LogisticRegression", "LinearSVC"}


def kernel_map(model: Any, X: Array | csr_array) -> KernelMap:
    """Return the features of a fitted scikit-learn SVC with an RBF kernel."""  # X (n, d)
    n, d = X.shape
    require_memory(4 * 8 * n**2, f"the kernel of {n:,} rows", memory_limit())
    rows, gamma = _dense(X), model.gamma
    if isinstance(gamma, str):
        gamma = 1.0 / d if gamma == "auto" else 1.0 / (d * float(rows.var()) or 1.0)
    values, vectors = np.linalg.eigh(gaussian(rows, rows, float(gamma)))
    kept = values > FLAT * values[-1]
    return KernelMap(float(gamma), rows, vectors[:, kept] / np.sqrt(values[kept]))


def _dense(X: Array | csr_array) -> Array:
    return np.asarray(X if isinstance(X, np.ndarray) else X.toarray())


def matrix(X: Any) -> NDArray[np.float64] | csr_array:
    """Return features as float64, dense or sparse by rows."""
    given = X.numpy(force=True) if isinstance(X, torch.Tensor) else X
    try:
        # A copy, since torch shares memory with arrays and does not take read-only ones.
        design = (
            csr_array(X, dtype=np.float64) if issparse(X) else np.array(given, dtype=np.float64, order="C")
        )
    except (TypeError, ValueError) as error:
        raise SettingError(f"X is not a matrix of numbers: {error}", "encode its columns first") from error
    if design.ndim != 2:  # noqa: PLR2004 - rows and columns
        raise SettingError(
            f"X must have rows and columns: got {design.ndim} axes", "X.reshape(-1, 1) is one column"
        )
    if not np.isfinite(design.data if issparse(design) else design).all():
        raise SettingError("X has missing or infinite values", "impute them as before the fit")
    return design


def memory_rows(design: NDArray[np.float64] | csr_array, numbers: NDArray[np.int64]) -> MemoryRows:
    """Return rows of weight 1."""
    X = design if issparse(design) else torch.from_numpy(design)
    y = torch.from_numpy(numbers)
    return MemoryRows(X, y, torch.ones(len(y), dtype=torch.float64))


def softmax_objective(rows: MemoryRows, n_classes: int, l2: float | None) -> Objective:
    """Return the objective of a fit that is made here."""
    if l2 is None or l2 < 0:
        raise SettingError(f"l2 must not be negative: got {l2}", "1e-3 is a fair start")
    return Objective(rows, LinearModel(Softmax(n_classes), rows.width), float(l2))


def every_class(numbers: NDArray[np.int64], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the class numbers if every class of a model is among them."""
    absent = np.setdiff1d(np.arange(len(classes)), numbers)
    if len(absent):
        what = f"class {classes[absent[0]]} of the model has no row in y"
        raise SettingError(what, "give the rows that it was fitted on")
    return numbers
