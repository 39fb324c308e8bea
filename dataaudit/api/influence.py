"""Influence functions as plain arrays, for people with a matrix and a model: a regression, or a module.

The commands and `audit_labels` are made of the same parts; here there is no table, no encoding and no report.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from dataaudit.errors import SettingError
from dataaudit.influence import influence
from dataaudit.influence.neighbourhood import Neighbourhood, neighbourhood
from dataaudit.influence.topk import Strongest, strongest_influences
from dataaudit.influence.torch import ModuleInfluence
from dataaudit.model.losses import Normal, SmoothHinge, SquaredHinge
from dataaudit.model.rows import Block
from dataaudit.model.torch import ModuleModel
from dataaudit.solvers import prepare
from dataaudit.solvers.newton import TEMPERATURE, FitSettings, minimise
from dataaudit.solvers.operator import CurvatureSolver, rough
from dataaudit.training.sklearn import (
    HELD,
    every_class,
    matrix,
    memory_rows,
    require_minimum,
    require_supported,
    softmax_objective,
    take,
    unwrapped,
)

Floats = NDArray[np.float64]


class Influence:
    """Influence of the rows of (X, y) on a classifier that was fitted on them, or on a torch module.

    ``Influence(ModuleModel(net, loss), (X, y), damping=0.01, solver="cg")`` gives a `ModuleInfluence`, whose
    settings and results are described there; what follows is of classifiers with linear scores.

    Signs are those of Koh & Liang (2017): upweighting a training row by ε changes a test loss by ε times its
    I_up,loss. Removing it is ε = -1/n, with weights of classes ε = -ω/n, of which ω is in `weights`. So
    **positive is harmful**: without row i the test loss falls by ``weights[i] * up_loss[:, i] / n``. All
    values are float64, losses are in nats (natural logarithm) for a logistic regression, in the unit of its
    own loss for any other, and values are not divided by n.

    The hinge of a support vector machine has a kink where a handful of rows hold it in place. Influence is
    that of the smooth hinge of a small temperature, and a first order: whether a row lets go of the margin
    once another one leaves is beyond it. `without` follows that.

    Parameters
    ----------
    model : estimator of scikit-learn or None
        Fitted on X and y with an l2 penalty or none, and used as it is: `LogisticRegression`, `LinearSVC`,
        `SVC`, `SGDClassifier`, `RidgeClassifier`; of numbers `LinearRegression`, `Ridge`, `PoissonRegressor`;
        also one that `GridSearchCV` or a kind with CV in its name chose, and one at the end of a `Pipeline`,
        whose other steps then make the features of X. Several classes need a `LogisticRegression`, an `SVC` a
        kernel that is linear or RBF. None has a logistic regression fitted here, to a gradient norm of 1e-8.
    X : array, frame or scipy sparse matrix (n, d)
        The training rows. Sparse ones stay sparse.
    y : array (n,)
        Their labels, numbers or strings; of a regressor, the numbers that it predicts.
    l2 : float, optional
        λ of the mean loss plus ``λ/2 ‖coefficients‖²``, intercepts free; scikit-learn's C is ``1/(nλ)``. Only
        with, and needed for, `model` None.
    damping : float
        Added to the diagonal of the Hessian.
    sample_weight : array (n,), optional
        Weights of the rows that the model was fitted with.
    solver : {"auto", "cholesky", "dual", "cg", "lissa", "arnoldi"} or settings of one
        How H⁻¹ is had: "auto" takes the cheaper exact factor. Under the last three `up_loss`, `up_params`,
        `pert_loss` and `strongest` are as exact as `residual` says; `self_influence` takes the exact factor
        while that fits in memory, and `without` never needs one.
    hessian : {"auto", "exact", "gauss-newton"}
        Of a torch module, see `ModuleInfluence`, which also has the solvers "block" and "ek-fac".
    temperature : float
        Of the smooth hinge that stands for the hinge: it is rounded over about that many units of the margin.
    refit : bool
        Go from the model's coefficients to the minimum of its objective, where one that is plainly elsewhere
        is refused.

    Attributes
    ----------
    classes : ndarray (K,)
        Labels in the order of the model. Class 0 is the reference: scores k = K - 1 are log-odds against it.
        Empty for a regressor, which has one score.
    coefficients : ndarray (d + 1, k)
        Differences to class 0, the intercepts last. For two classes they are scikit-learn's; of an RBF kernel
        they belong to the features of `kernelmap`.
    l2 : float
        λ.
    weights : ndarray (n,)
        ω of every training row, by its class and `sample_weight`; 1 where the model weighs none.
    notes : tuple of str
        What was made of the model, in sentences.
    gradient_norm : float
        Largest entry of the objective's gradient. Influence holds at 0; 1e-8 is as good as that.
        scikit-learn's default `tol` ends near 1e-4, where influence is biased: fit with a smaller `tol`, or
        pass `refit=True`.
    solver : str
        How H⁻¹ was had, and why so.
    residual : float
        Largest relative residual of its solves, on random probes.

    Warns
    -----
    UserWarning
        If a solver's estimates are off by more than 1 %.

    Raises
    ------
    SettingError
        If the model is not one that influence covers, arrays do not fit together or are not finite, or `l2`
        is given with a model or missing without one.
    FitError
        If the model was fitted on other features.
    NotConverged
        If the model is plainly not at its minimum, or a fit made here does not reach it.
    SolveError
        If the Hessian cannot be inverted, as without a ridge when columns repeat each other, or is too large.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array(["no", "no", "yes", "no"])
    >>> found = Influence(None, X, y, l2=0.1)
    >>> int(found.up_loss(np.array([[3.0]]), ["no"]).argmax())  # the row that harms it most
    2
    """

    def __new__(  # type: ignore[misc]  # one name for both, as people look for it
        cls,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        l2: float | Mapping[str, float] | None = None,
        damping: float = 0.0,
        solver: str | CurvatureSolver = "auto",
        hessian: Literal["auto", "exact", "gauss-newton"] = "auto",
        refit: bool = False,
        sample_weight: ArrayLike | None = None,
        temperature: float = TEMPERATURE,
    ) -> Influence | ModuleInfluence:
        """Return the influence of the kind of the model."""
        if isinstance(model, torch.nn.Module):
            raise SettingError(f"model is a {type(model).__name__}", "wrap it: ModuleModel(net, loss)")
        if not isinstance(model, ModuleModel):
            return super().__new__(cls)
        given = {
            "refit": refit,
            "sample_weight": sample_weight is not None,
            "temperature": temperature != TEMPERATURE,
        }
        if got := [name for name, there in given.items() if there]:
            raise SettingError(
                f"a module is taken where it stands: got {got[0]}", "train it further yourself"
            )
        train: Any = X if y is None else (X, y)
        return ModuleInfluence(model, train, l2=l2, damping=damping, solver=solver, hessian=hessian)

    def __init__(
        self,
        model: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        l2: float | Mapping[str, float] | None = None,
        damping: float = 0.0,
        solver: str | CurvatureSolver = "auto",
        hessian: Literal["auto", "exact", "gauss-newton"] = "auto",
        refit: bool = False,
        sample_weight: ArrayLike | None = None,
        temperature: float = TEMPERATURE,
    ) -> None:
        if y is None:
            hint = "give X and y; a torch module comes as ModuleModel(net, loss)"
            raise SettingError("labels y are needed", hint)
        if hessian != "auto":
            what = f"hessian {hessian!r} is for modules: linear scores have one alone"
            raise SettingError(what, "leave hessian out")
        if isinstance(l2, Mapping):
            raise SettingError(f"l2 by name is for modules: got {dict(l2)}", "give one number")
        if (model is None) == (l2 is None):
            what = (
                "l2 is needed to fit a model" if model is None else f"l2 is the model's own: got {l2:g} too"
            )
            raise SettingError(what, "give l2=1e-3, or a fitted model" if model is None else "leave l2 out")
        model = unwrapped(model)
        steps = getattr(model, "steps", ())
        self._steps: Any = model[:-1] if len(steps) > 1 else None
        model = steps[-1][1] if steps else model
        design, self._kernel = self._features(X), None
        self.notes: tuple[str, ...] = ()
        weight = None if sample_weight is None else _weights(sample_weight, design.shape[0])
        if model is None:
            self.classes = np.unique(np.asarray(y))
            rows = memory_rows(design, self._numbers(y))
            rows = rows if weight is None else replace(rows, weight=weight)
            self._objective = softmax_objective(rows, len(self.classes), l2)
            self._fit = minimise(self._objective).require_converged()
            require_minimum(self._objective, self._fit.theta)
        else:
            require_supported(model)
            self.classes = np.asarray(getattr(model, "classes_", ()))
            numbers = every_class(self._numbers(y), self.classes)
            order = range(len(self.classes))
            taken = take(
                model, design, numbers, order=order, weight=weight, refit=refit, temperature=temperature
            )
            self._objective, self._fit = taken.objective, taken.fit
            self._kernel, self.notes = taken.kernel, taken.notes
        self._prepared = prepare(self._objective, self._fit.theta, solver=solver, damping=damping)
        self.coefficients: Floats = self._objective.model.matrix(self._fit.theta).numpy()
        self.l2 = self._objective.l2
        self.weights: Floats = self._objective.rows.weight.numpy()
        self.gradient_norm = self._fit.gradient_norm
        self.solver = f"{self._prepared.method}: {self._prepared.reason}"
        self.residual = self._prepared.residual
        if warned := rough(self.residual):
            how = f"the {self._prepared.method} solver leaves a relative residual of {self.residual:.2g}"
            self.notes += (f"{how}. {warned}",)
            warnings.warn(self.notes[-1], stacklevel=2)

    def up_params(self, rows: ArrayLike | None = None) -> Floats:
        """Return I_up,params of training rows: without row i the coefficients are less by ω_i/n of it.

        Parameters
        ----------
        rows : array (m,) of int, optional
            Positions in X; by default all, which takes n·(d+1)·k numbers.

        Returns
        -------
        ndarray (m, d + 1, k)
            ``-H⁻¹ g`` in the layout of `coefficients`, times n; plus, not minus, is what upweighting does.

        Raises
        ------
        SettingError
            If a position is not in X.
        """
        chosen = self._positions(np.arange(self._objective.rows.n) if rows is None else rows)
        block = self._objective.rows.take(torch.from_numpy(chosen))
        moved = influence.up_params(self._objective, self._fit.theta, self._prepared, block=block)
        found: Floats = moved.T.reshape(len(chosen), *self.coefficients.shape).numpy()
        return found

    def up_loss(self, X: Any, y: ArrayLike, *, of: tuple[Any, ArrayLike] | None = None) -> Floats:
        """Return I_up,loss of every training row on the loss of every test row.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)
            Test rows.
        y : array (t,)
            Their labels.
        of : (array (m, d), array (m,)), optional
            Other rows than the training rows, and their labels: with one more row like them, of weight 1, a
            test loss rises by 1/n of the entry.

        Returns
        -------
        ndarray (t, n), or (t, m)
            ``-g_tᵀ H⁻¹ g_i`` in nats times n; positive is harmful. `strongest` finds the extremes of a table
            that would not fit in memory.
        """
        test, theta = self._test(X, y), self._fit.theta
        if of is None:
            up = influence.up_loss(self._objective, theta, self._prepared, test=test)
        else:
            solved = self._solved(test)
            up = self._objective.model.pair_influences(theta, solved, self._test(*of)).T
        found: Floats = up.numpy()
        return found

    def replaced(self, rows: ArrayLike, by: tuple[Any, ArrayLike], *, test: tuple[Any, ArrayLike]) -> Floats:
        """Return what replacing training rows, one at a time, does to the loss of test rows.

        Parameters
        ----------
        rows : array (m,) of int
            Positions in X of the training rows.
        by : (array (m, d), array (m,))
            What stands in the place of each: features and label.
        test : (array (t, d), array (t,))
            Test rows and their labels.

        Returns
        -------
        ndarray (t, m)
            ``-g_tᵀ H⁻¹ (g(z') - g(z))`` (Koh & Liang 2017, equation 3) in nats times n: training again with
            z' for row i changes the loss of a test row by ``weights[i] / n`` of it, to first order. Positive
            is a rise. For small changes of cells `pert_loss` is its slope.
        """
        chosen, other = self._positions(rows), self._test(*by)
        if len(other.y) != len(chosen):
            raise SettingError(f"{len(chosen)} rows are replaced by {len(other.y)}", "give one for each")
        solved, model = self._solved(self._test(*test)), self._objective.model
        before, after = (
            model.pair_influences(self._fit.theta, solved, block)
            for block in (self._objective.rows.take(torch.from_numpy(chosen)), other)
        )
        found: Floats = (after - before).T.numpy()
        return found

    def neighbourhood(self, X: Any, *, rows: int = 30) -> Neighbourhood:
        """Say how near the training rows are that influence predictions: far ones tell foreign inputs.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)
            Rows without labels: each is looked at for the class that it is predicted as.
        rows : int
            How many of the most helpful, and of the most harmful, rows are looked up.

        Returns
        -------
        Neighbourhood
            Ranks and distances (Cohen, Sapiro & Giryes 2020), in the features of the model.

        Raises
        ------
        SettingError
            If the model predicts numbers.
        """
        if not len(self.classes):
            raise SettingError("the model predicts numbers, not classes", "give a classifier")
        model, theta = self._objective.model, self._fit.theta
        block = self._test(X, np.repeat(self.classes[:1], matrix(self._features(X)).shape[0]))
        scores = torch.nn.functional.pad(model.scores(theta, block), (1, 0))
        test = replace(block, y=scores.argmax(1))
        found = influence.up_loss(self._objective, theta, self._prepared, test=test)
        known = self._objective.rows.take(torch.arange(self._objective.rows.n)).dense()
        return neighbourhood(found, known, test.dense(), rows=rows)

    def _solved(self, test: Block) -> torch.Tensor:
        """Return H⁻¹ g of test rows."""  # -> (p, t)
        gradients = influence.loss_gradients(self._objective.model, self._fit.theta, test)
        return self._prepared.solve(gradients)

    def pert_loss(self, X: Any, y: ArrayLike) -> Floats:
        """Return I_pert,loss of every training cell on the summed loss of test rows.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)
            Test rows.
        y : array (t,)
            Their labels.

        Returns
        -------
        ndarray (n, d)
            ``-Σ_t g_tᵀ H⁻¹ ∂g_i/∂x_ij``: adding a small δ to cell (i, j) and fitting again raises the summed
            loss by ω_i δ/n times it. In nats times n per unit of column j.
        """
        if self._kernel is not None:
            raise SettingError("cells of a kernel's features are no cells of X", "use a linear kernel")
        test = self._test(X, y)
        found: Floats = influence.pert_loss(
            self._objective, self._fit.theta, self._prepared, test=test
        ).numpy()
        return found

    def without(self, rows: ArrayLike, X: Any, y: ArrayLike, *, steps: int | None = None) -> Floats:
        """Return what removing training rows, one at a time, does to the loss of test rows.

        Parameters
        ----------
        rows : array (m,) of int
            Positions in X of the training rows.
        X : array or scipy sparse matrix (t, d)
            Test rows.
        y : array (t,)
            Their labels.
        steps : int, optional
            Newton steps without the row. By default 1, with the Hessian without the row: more than influence,
            since a row with leverage holds its own place; for a hinge, squared or not, all of them, to the
            new minimum.

        Returns
        -------
        ndarray (m, t)
            Change of each test loss, per row: not times n.
        """
        objective, theta, test = self._objective, self._fit.theta, self._test(X, y)
        near = self._prepared.precondition
        kinked = isinstance(objective.model.loss, SmoothHinge | SquaredHinge)
        settings = FitSettings(max_steps=steps or (100 if kinked else 1), forcing=1e-8)
        # What a model that is not at its minimum still lacks would be taken for the row's effect.
        settled = minimise(objective, theta, precondition=near, settings=settings)
        before, after = objective.model.values(settled.theta, test), []
        for row in self._positions(rows).tolist():
            weight = objective.rows.weight.clone()
            weight[row] = 0.0
            changed = objective.reweighted(weight)
            fit = minimise(changed, theta, precondition=near, settings=settings)
            after.append(objective.model.values(fit.theta, test) - before)
        found: Floats = torch.stack(after).numpy() if after else np.zeros((0, len(before)))
        return found

    def self_influence(self) -> Floats:
        """Return how much every training row lowers its own loss, never negative.

        Returns
        -------
        ndarray (n,)
            ``gᵀ H⁻¹ g``, the magnitude of I_up,loss(z, z), in nats times n: without the row its own loss
            rises by about ω/n of it. Wrong labels have large ones.
        """
        forms = self._prepared.quadratic_forms()
        found: Floats = influence.self_influence(self._objective, self._fit.theta, forms).numpy()
        return found

    def leverage(self) -> Floats:
        """Return how far every training row determines its own fit.

        Returns
        -------
        ndarray (n,)
            ``h = tr(W Q)/n``, the diagonal of the hat matrix (Pregibon 1981): 0 not at all, 1 wholly (k for
            k scores). Without a ridge they sum up to the number of parameters.
        """
        forms = self._prepared.quadratic_forms()
        found: Floats = influence.leverage(self._objective, self._fit.theta, forms).numpy()
        return found

    def cooks_distance(self) -> Floats:
        """Return how far the coefficients move without each training row.

        Returns
        -------
        ndarray (n,)
            ``Δᵀ (n H) Δ / (p φ)``, Δ being the Newton step of the p coefficients without the row (Cook 1977;
            for logistic fits Pregibon 1981). φ is 1 but for least squares of numbers, where it is the
            residual variance, on n - p degrees of freedom.
        """
        forms, scale = self._prepared.quadratic_forms(), self._scale()
        squared = influence.cooks_distance(self._objective, self._fit.theta, forms)
        found: Floats = (squared / (self._free * scale)).numpy()
        return found

    def dfbetas(self, rows: ArrayLike | None = None) -> Floats:
        """Return the change of every coefficient by each training row, in standard errors.

        Parameters
        ----------
        rows : array (m,) of int, optional
            Positions in X; by default all, which takes n·(d+1)·k numbers.

        Returns
        -------
        ndarray (m, d + 1, k)
            Coefficients with the row minus those without it, by one Newton step, over their standard errors
            ``√(φ diag (n H)⁻¹)`` (Belsley, Kuh & Welsch 1980), in the layout of `coefficients`.

        Raises
        ------
        SettingError
            If a position is not in X.
        """
        chosen, objective = (
            self._positions(np.arange(self._objective.rows.n) if rows is None else rows),
            self._objective,
        )
        block, forms = objective.rows.take(torch.from_numpy(chosen)), self._prepared.quadratic_forms()
        slope = influence.pushed(objective, self._fit.theta, forms)[torch.from_numpy(chosen)]
        moved = self._prepared.solve(block.outer(slope)) / -objective.rows.n
        p = objective.model.n_params
        variance = self._prepared.solve(torch.eye(p, dtype=moved.dtype)).diagonal() / objective.rows.n
        scaled = moved / (self._scale() * variance).sqrt()[:, None]
        found: Floats = scaled.T.reshape(len(chosen), *self.coefficients.shape).numpy()
        return found

    def _scale(self) -> float:
        """Return the dispersion φ."""
        objective, loss = self._objective, self._objective.model.loss
        if not isinstance(loss, Normal):
            return 1.0
        rows = objective.rows
        squares = 2.0 * rows.weight @ loss.value(objective.scores(self._fit.theta), rows.y)
        return float(squares) / max(rows.n - self._free, 1)

    @property
    def _free(self) -> int:
        """Number of coefficients, without an intercept that the model does not have."""
        model = self._objective.model
        held = model.intercept_ridge * self.l2 == HELD
        return model.n_params - (model.loss.n_scores if held else 0)

    def strongest(self, X: Any, y: ArrayLike, *, k: int = 20, memory_bytes: int = 256 * 2**20) -> Strongest:
        """Return the k most harmful and the k most helpful training rows of every test row.

        Parameters
        ----------
        X : array or scipy sparse matrix (t, d)
            Test rows.
        y : array (t,)
            Their labels.
        k : int
            Rows to keep at either end.
        memory_bytes : int
            What the work may take besides the rows and t solutions of p numbers.

        Returns
        -------
        Strongest
            The extremes of `up_loss`, exactly, and totals over all training rows, as torch tensors.
        """
        solved = self._solved(self._test(X, y))
        return strongest_influences(self._objective, self._fit.theta, solved, k=k, memory_bytes=memory_bytes)

    def _test(self, X: Any, y: ArrayLike) -> Block:
        """Return test rows as a block."""
        design, numbers = self._features(X), self._numbers(y)
        width = self._objective.rows.width if self._kernel is None else self._kernel.rows.shape[1]
        if design.shape[1] != width:
            what = f"test rows have {design.shape[1]} features, the training rows {width}"
            raise SettingError(what, "give the same columns in the same order")
        rows = memory_rows(design if self._kernel is None else self._kernel(design), numbers)
        return Block(rows.X, rows.y, rows.weight)

    def _positions(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return positions of training rows."""
        given, n = np.asarray(rows).reshape(-1), self._objective.rows.n
        if len(given) and given.dtype.kind not in "iu":
            raise SettingError(
                f"rows are positions: got {given.dtype}", "np.flatnonzero makes them of a mask"
            )
        chosen = given.astype(np.int64)
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < n:
            got = f"{chosen.min()} to {chosen.max()}"
            raise SettingError(f"rows must lie between 0 and {n - 1}: got {got}", "check them")
        return chosen

    def _features(self, X: Any) -> Any:
        """Return what the model itself saw of some rows."""
        return matrix(X if self._steps is None else self._steps.transform(X))

    def _numbers(self, y: ArrayLike) -> NDArray[Any]:
        """Return labels as class numbers, and numbers as they are."""
        if not len(self.classes):
            return _finite(y, "y")
        known = {value: number for number, value in enumerate(self.classes.tolist())}
        labels = np.asarray(y).reshape(-1).tolist()
        for label in labels:
            if label not in known:
                shown = f"it knows {', '.join(map(str, list(known)[:5]))}"
                raise SettingError(f"label {label!r} is not a class of the model: {shown}", "check y")
        return np.array([known[label] for label in labels], dtype=np.int64)


def _finite(values: ArrayLike, what: str) -> Floats:
    """Return numbers as float64."""
    try:
        found = np.array(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise SettingError(f"{what} has values that are no numbers: {error}", "check it") from error
    if not np.isfinite(found).all():
        raise SettingError(f"{what} has missing or infinite values", "leave their rows out")
    return found


def _weights(given: ArrayLike, n: int) -> torch.Tensor:
    """Return weights of n rows."""
    weight = _finite(given, "sample_weight")
    if len(weight) != n or not (weight >= 0).all() or not weight.any():
        what = f"sample_weight has {len(weight)} values for {n} rows, the least {weight.min(initial=0):g}"
        raise SettingError(what, "give one a row, none negative and not all 0")
    return torch.from_numpy(weight)
