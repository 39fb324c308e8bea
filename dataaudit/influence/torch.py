"""Influence of training rows on a user's module, at whatever point its training ended.

With R(θ) = (1/n) Σ ℓ(z_i, θ) + (1/2) Σ λ_j θ_j² and A = ∇²R(θ̃) + δ I at the given θ̃ (Koh & Liang 2017, 4.2),

    I_up,loss(z, t) = -g_tᵀ A⁻¹ g_z     I_up,loss(z, z) = -g_zᵀ A⁻¹ g_z     I_pert,loss = -g_tᵀ A⁻¹ ∂g_z/∂x

Away from a minimum, removing a row and training on moves θ̃ by -(1/n) I_up,params(z) and by the Newton step
-A⁻¹ ∇R(θ̃), which is the same whichever row leaves (appendix B): it is reported apart, with a warning, and is
in no influence.
"""

from __future__ import annotations

import copy
import hashlib
import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from dataaudit.errors import SettingError
from dataaudit.files import write_whole
from dataaudit.influence.attack import Bounds, InputAttack, ModuleAttack, Retrain
from dataaudit.influence.layers import KroneckerFactors, LayerBlocks, module_curvature
from dataaudit.influence.neighbourhood import Neighbourhood, neighbourhood
from dataaudit.influence.retrain import Refit
from dataaudit.model.torch import ROWS, Batch, ModuleModel, TensorRows, Train, digest_of, gathered, paired
from dataaudit.options import SOLVERS, require_damping, require_solver, unknown
from dataaudit.solvers.cg import ConjugateGradients
from dataaudit.solvers.choose import product_solver, require_settings, short
from dataaudit.solvers.iterative import Direct
from dataaudit.solvers.operator import Curvature, CurvatureSolver, Inverse, rough

BLOCK_BYTES: Final = 64 * 2**20  # of per-row gradients at a time
DIRECT: Final = 3000  # parameters up to which "auto" forms the Hessian
STILL: Final = 1e-3  # gradient norm up to which a point counts as a minimum
SOLVED: Final = 1e-6  # relative residual of the steps of `without`
HESSIANS: Final = ("auto", "exact", "gauss-newton")
LAYERED: Final = ("block", "ek-fac")
TYPICAL: Final = 100  # rows whose gradients are what ∇R is compared with


class ModuleInfluence:
    """Influence of every training row, on the loss of test rows and on its own.

    Parameters
    ----------
    model : ModuleModel
        The module, its loss, and the parameters that are looked at.
    train : (Tensor, Tensor) or DataLoader
        Training inputs (n, …) and targets (n, …), in the order in which results name them.
    l2 : float or mapping of str to float
        λ of the training objective, on all parameters that are looked at; or by their names or beginnings of
        names, as in ``{"0.weight": 1e-3, "2.weight": 1e-3}`` where biases have no weight decay. By default
        that of the model.
    damping : float
        δ, added to the Hessian. Where the point is no minimum, or the module is not convex, it has to make
        up for negative curvature; ``solver="cholesky"`` raises it by itself.
    solver : {"auto", "cholesky", "cg", "lissa", "arnoldi", "block", "ek-fac"} or a solver's settings
        How A⁻¹ is applied: the last two layer by layer, for large networks.
    hessian : {"auto", "exact", "gauss-newton"}
        The last is the Hessian without the module's own curvature: never negative where the loss is convex in
        the outputs. "auto" takes it for "block" and "ek-fac".
    folder : Path or str, optional
        Where solves and influences are kept, a file for each group of rows, under a name made of all that
        they rest on: another run, or one after it was stopped, reads them there.

    Attributes
    ----------
    gradient_norm : float
        ‖∇R(θ̃)‖_∞, in nats per unit of θ.
    inverse : Inverse
        A⁻¹: its method, reason, measured residual and final damping.
    notes : tuple of str
        What was warned of, in sentences.

    Warns
    -----
    UserWarning
        If θ̃ is no minimum, with the gradient's size, also against that of single rows; if a solver's
        estimates are off by more than 1 %.

    Raises
    ------
    SettingError, SolveError
        If the settings make no sense, or A cannot be inverted as asked.

    Examples
    --------
    >>> inf = ModuleInfluence(ModuleModel(net, cross_entropy), (X, y), damping=0.01)  # doctest: +SKIP
    >>> inf.up_loss((X_test, y_test))[0].topk(10)  # the rows most harmful to the first test row
    """

    def __init__(
        self,
        model: ModuleModel,
        train: Train,
        *,
        l2: float | Mapping[str, float] | None = None,
        damping: float = 0.0,
        solver: str | CurvatureSolver = "auto",
        hessian: Literal["auto", "exact", "gauss-newton"] = "auto",
        folder: Path | str | None = None,
    ) -> None:
        require_damping(damping)
        if not isinstance(model, ModuleModel):
            raise SettingError(f"model is a {type(model).__name__}", "wrap it: ModuleModel(net, loss)")
        if model.theta.dtype not in {torch.float32, torch.float64}:
            raise SettingError(f"parameters are {model.theta.dtype}", "call net.float() before")
        self.model, self.rows = model, gathered(train)
        self.ridge = model.ridge(model.l2 if l2 is None else l2)
        self.folder = None if folder is None else Path(folder)
        self.theta = model.theta
        self.gradient = self._gradient()
        self.gradient_norm = float(self.gradient.abs().max())
        self._gauss_newton = _gauss_newton(hessian, solver)
        self.curvature = module_curvature(
            self.model, self.rows, self.ridge, damping=damping, gauss_newton=self._gauss_newton
        )
        settings = self._by_layer(solver) or _settings(solver, len(self.theta), float(self.ridge.min()))
        self.inverse: Inverse = settings.invert(self.curvature)
        self._rests_on = repr(
            (digest_of(model), getattr(model.loss, "__name__", model.loss), solver, hessian)
        )
        self.notes: tuple[str, ...] = () if self.at_minimum else (self._away(),)
        if warned := rough(self.inverse.residual):
            how = f"the {self.inverse.method} solver leaves a relative residual of"
            self.notes += (f"{how} {self.inverse.residual:.2g}. {warned}",)
        for note in self.notes:
            warnings.warn(note, stacklevel=3)

    @property
    def at_minimum(self) -> bool:
        """Whether the gradient is as small as at a minimum; else see `newton_step`."""
        return self.gradient_norm <= STILL

    @cached_property
    def newton_step(self) -> Tensor:
        """How θ̃ would move by itself: ``-A⁻¹ ∇R(θ̃)``, the part that no row is to blame for."""  # -> (p,)
        return -self.inverse.solve(self.gradient[:, None])[:, 0]

    def newton_loss(self, test: Batch) -> Tensor:
        """Return the change of each test row's loss by the Newton step, to first order."""  # -> (t,)
        return self.model.gradients(self.theta, *paired(test, "test")) @ self.newton_step

    def up_params(self, rows: Batch) -> Tensor:
        """Return I_up,params of rows: ``-A⁻¹ g``, one column a row."""  # -> (p, b)
        X, y = paired(rows, "given")
        return self._once("solve", (X, y), lambda: -self._solved(X, y)[1])

    def up_loss(self, test: Batch, *, of: Batch | None = None) -> Tensor:
        """Return I_up,loss of every training row on every test row, in nats times n.

        Parameters
        ----------
        test : (Tensor, Tensor)
            t inputs and targets.
        of : (Tensor, Tensor), optional
            m other inputs and targets than the training rows.

        Returns
        -------
        Tensor (t, n), or (t, m)
            Positive is harmful: removing row i changes the loss of test row t by -(1/n) of the entry, adding
            a row by 1/n of it.
        """
        moved = self.up_params(paired(test, "test"))
        blocks = self._blocks(self.rows if of is None else TensorRows(*paired(of, "other")))
        return torch.cat(
            [self._once("influence", (*block, moved), partial(self._pairs, block, moved)) for block in blocks]
        ).T

    def replaced(self, rows: Sequence[int], by: Batch, test: Batch) -> Tensor:
        """Return what replacing training rows, one at a time, does to the loss of test rows.

        Parameters
        ----------
        rows : sequence of int
            Positions of m training rows.
        by : (Tensor, Tensor)
            The input and target that stand in the place of each.
        test : (Tensor, Tensor)
            t inputs and targets.

        Returns
        -------
        Tensor (t, m)
            ``-g_tᵀ A⁻¹ (g(z') - g(z))`` (Koh & Liang 2017, equation 3), in nats times n: the loss of a test
            row changes by 1/n of it, to first order.

        Raises
        ------
        SettingError
            If there is not one replacement a row, or a position is not in the training rows.
        """
        X, y = paired(by, "other")
        if len(X) != len(rows):
            raise SettingError(f"{len(rows)} rows are replaced by {len(X)}", "give one for each")
        at = self._positions(rows)
        return self.up_loss(test, of=(X, y)) - self.up_loss(test, of=(self.rows.X[at], self.rows.y[at]))

    def neighbourhood(
        self, inputs: Tensor, *, embed: Callable[[Tensor], Tensor] | None = None, rows: int = 30
    ) -> Neighbourhood:
        """Say how near the training rows are that influence predictions: far ones tell adversarial inputs.

        Parameters
        ----------
        inputs : Tensor (t, …)
            Inputs without targets: each is looked at for the class that it is predicted as.
        embed : callable, optional
            From inputs to vectors in which distances mean something, such as all layers but the last; by
            default the inputs themselves, flattened.
        rows : int
            How many of the most helpful, and of the most harmful, rows are looked up.

        Returns
        -------
        Neighbourhood
            Ranks and distances (Cohen, Sapiro & Giryes 2020).
        """
        predicted = self.model.outputs(self.theta, inputs).argmax(-1).to(self.rows.y.dtype)
        with torch.no_grad():
            near, far = (
                (X if embed is None else embed(X)).flatten(1).double() for X in (inputs, self.rows.X)
            )
        return neighbourhood(self.up_loss((inputs, predicted)), far, near, rows=rows)

    def without(self, rows: Sequence[int], test: Batch) -> Tensor:
        """Return what removing training rows, one at a time, does to the loss of test rows.

        Parameters
        ----------
        rows : sequence of int
            Positions of m training rows.
        test : (Tensor, Tensor)
            t inputs and targets.

        Returns
        -------
        Tensor (m, t)
            Change of each test loss at the parameters that a Newton step leads to, the Hessian being that
            without the row. More than influence, which keeps the row's own curvature and takes the loss for
            linear; not times n.

        Raises
        ------
        SolveError
            If the Hessian without a row has directions of negative curvature: raise the damping.
        SettingError
            If a position is not in the training rows.
        """
        X, y = paired(test, "test")
        before, after = self.model.losses(self.theta, X, y), []
        settings = ConjugateGradients(tolerance=SOLVED, preconditioner=self.inverse.solve)
        for row in self._positions(rows).tolist():
            own = self.rows.X[row : row + 1], self.rows.y[row : row + 1]
            step = settings.invert(self._curvature_without(own)).solve(
                self.model.gradient(self.theta, *own)[:, None] / self.rows.n
            )
            after.append(self.model.losses(self.theta + step[:, 0], X, y) - before)
        return torch.stack(after).detach() if after else before.new_zeros(0, len(before))

    def self_influence(self) -> Tensor:
        """Return the magnitude of I_up,loss(z, z) of every training row, in nats times n."""  # -> (n,)
        return torch.cat([self._once("own", block, partial(self._own, *block)) for block in self._blocks()])

    def retrain(self, *, without: Sequence[int] = (), y: Tensor | None = None, seed: int = 0) -> ModuleModel:
        """Return the module trained again from where it stands, with the damping as a pull towards there.

        Parameters
        ----------
        without : sequence of int
            Positions of training rows that are left out; n stays as it is.
        y : Tensor, optional
            Other targets of all training rows.
        seed : int
            Of where training begins, a hundredth of the parameters' size from here.

        Returns
        -------
        ModuleModel
            A copy with other parameters. Training on changes a module by itself: compare with one that was
            trained again on all rows by the same seed, as `measured` does.

        Raises
        ------
        SettingError
            If a position is not in the training rows.
        """
        weight = torch.ones(self.rows.n, dtype=torch.float64)
        weight[self._positions(without)] = 0.0
        net = copy.deepcopy(self.model.net).double()
        model, X = replace(self.model, net=net), self.rows.X
        targets = self.rows.y if y is None else y
        rows = TensorRows(*(part.double() if part.is_floating_point() else part for part in (X, targets)))
        theta = Refit(model, self.ridge.double(), self.inverse.damping).run(rows, weight, seed=seed)
        return model.moved(theta, self.theta.dtype)

    def measured(self, rows: Sequence[int], test: Batch, *, seeds: int = 3) -> Tensor:
        """Return what `without` predicts, by training again without each row and with all of them.

        Parameters
        ----------
        rows : sequence of int
            Positions of m training rows.
        test : (Tensor, Tensor)
            t inputs and targets.
        seeds : int
            Refits that the mean is over.

        Returns
        -------
        Tensor (m, t)
            Change of each test loss.
        """
        X, y = paired(test, "test")
        changes: list[tuple[int, ...]] = [(), *((row,) for row in self._positions(rows).tolist())]
        losses = []
        for gone in changes:
            again = [self.retrain(without=gone, seed=seed) for seed in range(seeds)]
            losses.append(torch.stack([one.losses(one.theta, X, y).detach() for one in again]).mean(0))
        return torch.stack(losses[1:]) - losses[0] if len(losses) > 1 else losses[0].new_zeros(0, len(y))

    def _own(self, X: Tensor, y: Tensor) -> Tensor:
        g, solved = self._solved(X, y)
        return (g * solved.T).sum(1)

    def _solved(self, X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of rows, and A⁻¹ times them."""  # -> (b, p), (p, b)
        g = self.model.gradients(self.theta, X, y)
        return g, self.inverse.solve(g.T.contiguous())

    def _pairs(self, block: Batch, moved: Tensor) -> Tensor:
        return self.model.gradients(self.theta, *block) @ moved  # (p, t) -> (b, t)

    def _once(self, what: str, given: Sequence[Tensor], make: Callable[[], Tensor]) -> Tensor:
        """Return what is kept under all that it rests on, or make and keep it."""
        if self.folder is None:
            return make()
        digest = hashlib.sha256(repr((what, self._rests_on, self.inverse.damping, self.ridge)).encode())
        for part in (self.rows.X, self.rows.y, *given):
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        path = self.folder / f"{what}-{digest.hexdigest()[:24]}.npy"
        try:
            return torch.from_numpy(np.load(path)).to(self.theta.device)
        except (OSError, ValueError):  # not there yet
            found, out = make(), io.BytesIO()
            np.save(out, found.detach().cpu().numpy())
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, out.getvalue())
            return found

    def pert_loss(self, test: Batch) -> Tensor:
        """Return I_pert,loss of every input of every training row on the summed loss of the test rows.

        Parameters
        ----------
        test : (Tensor, Tensor)
            Inputs and targets.

        Returns
        -------
        Tensor (n, …)
            In the shape of the training inputs: adding a small ε to an input and training again changes the
            summed loss by (1/n) ε times its entry.
        """
        moved = -self.inverse.solve(self.model.gradient(self.theta, *paired(test, "test"))[:, None])[:, 0]
        return torch.cat([self.model.mixed(self.theta, moved, X, y=y) for X, y in self.rows.blocks()])

    def attack(
        self,
        test: Batch,
        *,
        within: float,
        bounds: tuple[float, float] = (-math.inf, math.inf),
        rows: int | Sequence[int] = 1,
        steps: int = 12,
        retrain: Retrain | None = None,
    ) -> ModuleAttack:
        """Move inputs of training rows until test rows are mispredicted, with training after every step.

        For auditing one's own data (Koh & Liang 2017, section 5.2 and figure 5).

        Parameters
        ----------
        test : (Tensor, Tensor)
            t inputs and targets, attacked at once: their summed loss is raised.
        within : float
            How far an input may move, such as ``0.5 / 255`` of an 8-bit pixel.
        bounds : (float, float)
            What inputs may be at the least and at the most.
        rows : int or sequence of int
            How many training rows are changed, those that could add most to the loss; or which ones.
        steps : int
            At the most; each moves an input by a quarter of `within`.
        retrain : callable, optional
            ``(X, y) -> ModuleModel``, trained on these rows. By default θ goes on from where it is.

        Returns
        -------
        ModuleAttack
            The changed inputs, and the test rows before, as predicted, and after training.

        Raises
        ------
        SettingError
            If `within`, `bounds` or `rows` make no sense, or inputs have no small changes.

        Examples
        --------
        >>> found = inf.attack((X_test, y_test), within=0.5 / 255, bounds=(0, 1))  # doctest: +SKIP
        >>> found.rows, int(found.flipped.sum())
        """
        search = InputAttack(
            model=self.model,
            train=self.rows,
            ridge=self.ridge,
            solve=self.inverse.solve,
            test=paired(test, "test"),
            bounds=Bounds(within, *bounds),
            retrain=retrain,
        )
        return search.run(rows, steps)

    def _curvature_without(self, own: Batch) -> Curvature:
        at = self.model.gauss_newton_at if self._gauss_newton else self.model.bend_at
        bend, whole = at(self.theta, *own), self.curvature.damped(self.inverse.damping)
        return replace(whole, full=lambda V: whole.full(V) - bend(V) / self.rows.n)

    def _by_layer(self, solver: str | CurvatureSolver) -> CurvatureSolver | None:
        """Return the settings of a solver that goes layer by layer."""
        if solver == "ek-fac":
            return KroneckerFactors(self.model, self.rows, self.ridge)
        if solver == "block":
            within = partial(_settings, "auto", floor=0.0)
            return LayerBlocks(self.model, self.rows, self.ridge, self._gauss_newton, within)
        return None

    def _blocks(self, rows: TensorRows | None = None) -> Iterator[Batch]:
        size = len(self.theta) * self.theta.element_size()
        return (rows or self.rows).blocks(max(1, min(ROWS, BLOCK_BYTES // size)))

    def _positions(self, rows: Sequence[int]) -> Tensor:
        """Return positions of training rows."""  # -> (m,)
        at = torch.as_tensor(rows, dtype=torch.int64).reshape(-1)
        if len(at) and not 0 <= int(at.min()) <= int(at.max()) < self.rows.n:
            got = f"{int(at.min())} to {int(at.max())}"
            raise SettingError(f"rows must lie between 0 and {self.rows.n - 1}: got {got}", "check them")
        return at

    def _away(self) -> str:
        """Return how far from a minimum θ̃ is, in a sentence, and what to do."""
        X, y = next(self._blocks())
        lengths = self.model.gradients(self.theta, X[:TYPICAL], y[:TYPICAL]).norm(dim=1) / self.rows.n
        times = float(self.gradient.norm() / lengths.median())
        return (
            "training did not end at a minimum: the gradient has entries up to "
            f"{self.gradient_norm:.1e} and is {times:,.0f} times as long as a typical row's part of it. "
            "Influences are those of this point; newton_step and newton_loss say what more training would do "
            "by itself. Hint: pass l2= if training had weight decay, or train further"
        )

    def _gradient(self) -> Tensor:
        total = torch.zeros_like(self.theta)
        for X, y in self.rows.blocks():
            total += self.model.gradient(self.theta, X, y)
        return total / self.rows.n + self.ridge * self.theta


def _gauss_newton(hessian: str, solver: str | CurvatureSolver) -> bool:
    """Return whether the Gauss-Newton matrix stands for the Hessian."""
    if hessian not in HESSIANS:
        raise unknown("hessian", hessian, HESSIANS)
    if hessian == "exact" and solver == "ek-fac":
        raise SettingError(
            "ek-fac approximates the Gauss-Newton matrix, not the Hessian", "leave hessian out"
        )
    return hessian == "gauss-newton" or (hessian == "auto" and solver in LAYERED)


def _settings(solver: str | CurvatureSolver, p: int, floor: float) -> CurvatureSolver:
    """Return the settings of a solver by its name; "auto" takes the exact one where p is small."""
    require_settings(solver)
    if not isinstance(solver, str):
        return solver
    require_solver(
        solver, [*(name for name in SOLVERS if name != "dual"), *LAYERED], why="is for linear scores"
    )
    costs = f"the Hessian of {p:,} parameters takes {p:,} products and {short(3 * 8 * p**2)}B to be factored"
    if solver == "cholesky" or (solver == "auto" and p <= DIRECT):
        return Direct(costs if solver == "auto" else "asked for")
    if solver == "auto":
        return ConjugateGradients(reason=f"{costs}: too much")
    return product_solver(solver, ridge=floor, least=floor)
