"""Fits of rows that are not in memory, by as few passes over them as possible.

One pass brings loss, gradient and Hessian together, so that a Newton step takes one, and the Hessian at the
minimum is there when it is reached. It begins near it: at the minimum of some of the rows.

Problems that differ in a few rows (one that leaves, or has another label) share their passes. Their Hessians
are nearly that of all rows, whose factor brings them to their minima at a rate of about the rows' leverage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Final, cast

import torch
from torch import Tensor

from dataaudit.errors import NotPositiveDefinite
from dataaudit.memory import memory_limit, require_memory
from dataaudit.model.linear import LinearModel
from dataaudit.model.objective import Change, Objective
from dataaudit.model.rows import Block, MemoryRows, ShardedRows
from dataaudit.options import NOT_KEPT, Checkpoint, StepCallback
from dataaudit.solvers.base import Prepared
from dataaudit.solvers.cholesky import Cholesky, cholesky_solve
from dataaudit.solvers.newton import Fit, FitSettings
from dataaudit.solvers.operator import Product

SHARP: Final = 1e-10  # gradient at which steps end: scores are those of rows in memory to 1e-8
SOME: Final = 8  # one shard in so many is where a fit begins
LEAST: Final = 32  # shards from which on it pays
BEGUN: Final = 1e-4  # gradient at which the beginning ends
APPROACH, MUCH = 8, 0.2  # passes that bring a gradient alone, and what each has to leave of it at most
SHORT: Final = 1e-9  # length of a step, relative to θ, that leaves the Hessian as it is
CHANGED: Final = 1e-12  # length of a step of changed problems at which they end, relative to θ
USUAL: Final = 10  # passes of a fit
PASSES: Final = 6  # of changed problems at most
_FEWEST: Final = 1e-6  # of a step that is halved
_USUAL: Final = FitSettings()


@dataclass(frozen=True)
class Minimum:
    """A minimum, with the Hessian there."""

    fit: Fit
    H: Tensor  # (p, p)


def prepare_by_passes(
    objective: Objective,
    start: Tensor | None,
    *,
    damping: float,
    on_step: StepCallback,
    kept: Checkpoint = NOT_KEPT,
) -> tuple[Fit, Prepared, Tensor]:
    """Fit rows that are not in memory, invert the Hessian at the minimum, and make the rows' forms."""
    p, tried = objective.model.n_params, count(1)
    require_memory(objective.size.primal, f"a {p:,} × {p:,} Hessian", memory_limit())
    on_step("fit", 0, USUAL)

    def on_pass() -> None:
        done = next(tried)
        on_step("fit", done, max(USUAL, done + 1))

    passes = partial(minimise_by_passes, objective, start, on_pass=on_pass, kept=kept.below("fit"))
    found = kept.once("fit", passes)
    fit = found.fit.require_converged()
    on_step("fit", 1, 1)
    on_step("invert", 0, 1)
    reason = "rows are not in memory: one pass over them makes a Hessian, no other factor is to be had"
    prepared = Cholesky(reason, damping).of(objective, fit.theta, found.H)
    forms = kept.once("score rows: forms", prepared.quadratic_forms)
    on_step("invert", 1, 1)
    return fit, prepared, forms


def minimise_by_passes(
    objective: Objective,
    start: Tensor | None = None,
    *,
    settings: FitSettings = _USUAL,
    on_pass: Callable[[], None] = lambda: None,
    kept: Checkpoint = NOT_KEPT,
) -> Minimum:
    """Minimise R(θ) over shards; ask `Fit.require_converged` before the end point is used."""  # start (p,)
    p = objective.model.n_params
    theta = torch.zeros(p, dtype=torch.float64) if start is None else start.clone()
    steps = _Steps(min(SHARP, settings.tolerance), settings.max_steps, on_pass, kept)
    some = _some(objective)
    if some is not None:
        theta = kept.once("start", partial(_begun, objective, some, theta, steps=steps))
    found = _newton(objective, theta, steps)
    return replace(found, fit=replace(found.fit, tolerance=settings.tolerance))


@dataclass(frozen=True)
class _Steps:
    """How long steps are taken, and who hears of them."""

    tolerance: float
    most: int
    on_pass: Callable[[], None] = lambda: None
    kept: Checkpoint = NOT_KEPT


def _begun(objective: Objective, some: Objective, theta: Tensor, *, steps: _Steps) -> Tensor:
    """Return a point near the minimum, by steps with the Hessian of some of the rows.

    They go on as long as each brings the minimum much nearer.
    """
    begun = _newton(some, theta, _Steps(BEGUN, steps.most, kept=steps.kept.below("some rows")))
    L, failed = torch.linalg.cholesky_ex(begun.H)
    first, theta, best, now = steps.kept.get("gradient") or (0, begun.fit.theta, begun.fit.theta, torch.inf)
    for step in range(first, 0 if failed else APPROACH):
        steps.kept.put("gradient", (step, theta, best, now))
        gradient = objective.gradient(theta)
        steps.on_pass()
        norm = float(gradient.abs().max())
        if norm > now * MUCH:
            return best if norm > now else theta
        moved = cholesky_solve(L, gradient[:, None])[:, 0]
        best, now, theta = theta, norm, theta - moved
        if _is_short(moved, theta):
            break
    return theta


def _is_short(step: Tensor, theta: Tensor) -> bool:
    """Whether a step is so short that the Hessian after it is that before it."""
    return float(step.norm()) <= SHORT * max(float(theta.norm()), 1.0)


def _some(objective: Objective) -> Objective | None:
    """Return the objective over one shard in a few; None where all are few."""
    rows = objective.rows
    if not isinstance(rows, ShardedRows) or len(rows.shards) < LEAST:
        return None
    parts = rows.parts[::SOME]
    y, weight = torch.cat([part.y for part in parts]), torch.cat([part.weight for part in parts])
    fewer = ShardedRows(tuple(part.shard for part in parts), y, weight, rows.width, rows.engine)
    return replace(objective, rows=cast("MemoryRows", fewer))


def _newton(objective: Objective, theta: Tensor, steps: _Steps) -> Minimum:
    """Take Newton steps, each with one pass, and halve those that do not lower R."""
    tolerance, kept, now = steps.tolerance, steps.kept, (1.0, torch.inf, torch.zeros_like(theta), torch.inf)
    first, theta, now, brought = kept.get("pass") or (0, theta, now, None)
    size, before, direction, best = now
    for step in range(first, steps.most):
        if brought is None:
            brought = one_pass(objective, theta)
            kept.put("pass", (step, theta, (size, before, direction, best), brought))
        (value, gradient, H), brought = brought, None
        steps.on_pass()
        if not value <= before + 1e-12 * abs(before) and size > _FEWEST:
            size /= 2
            theta = theta - size * direction  # half of the way back
            continue
        norm = float(gradient.abs().max())
        L, failed = torch.linalg.cholesky_ex(H)
        if failed:
            what = f"the Hessian is not positive definite at λ = {objective.l2:g}"
            raise NotPositiveDefinite(what, "raise --l2, or look for columns with huge values")
        # Rounding of a sum over many rows may be above what is asked.
        if norm <= tolerance or (norm <= 100 * tolerance and norm >= best / 2) or step == steps.most - 1:
            sharp = theta - cholesky_solve(L, gradient[:, None])[:, 0]  # costs no pass
            return Minimum(Fit(sharp if norm <= tolerance else theta, norm, step, tolerance), H)
        direction, size, before, best = (
            -cholesky_solve(L, gradient[:, None])[:, 0],
            1.0,
            value,
            min(best, norm),
        )
        theta = theta + direction
        if _is_short(direction, theta):
            return Minimum(Fit(theta, norm, step + 1, tolerance), H)
    raise AssertionError("there is a last step")


def one_pass(objective: Objective, theta: Tensor) -> tuple[float, Tensor, Tensor]:
    """Return R, its gradient and its Hessian, by one pass over the rows."""  # (p,) -> (), (p,), (p, p)
    model, n = objective.model, objective.rows.n
    p = model.n_params
    flat = objective.rows.sum(partial(_contribution, model, theta), dense=True)
    ridge = objective.l2 * model.ridge(theta[:, None])[:, 0]
    value = float(flat[0] / n + 0.5 * theta @ ridge)
    return value, flat[1 : p + 1] / n + ridge, objective.with_ridge(flat[p + 1 :].view(p, p))


def _contribution(model: LinearModel, theta: Tensor, block: Block) -> Tensor:
    """Return loss, gradient and Hessian of some rows in one vector."""  # -> (1 + p + p²,)
    s = model.scores(theta, block)
    value = block.weight @ model.loss.value(s, block.y)
    gradient = block.pull(block.weight[:, None] * model.loss.slope(s, block.y))
    H = model.hessian_at(model.curvature_at(s, block.y, block.weight), block)
    return torch.cat([value[None], gradient.reshape(-1), H.reshape(-1)])


def minimise_changes(
    objective: Objective, changes: Sequence[Change], *, starts: Tensor, solve: Product
) -> Tensor:
    """Return the minima of problems that each differ in some rows, by shared passes."""  # (p, m) -> (p, m)
    thetas = starts.clone()
    blocks, before = [objective.rows.take(change.rows) for change in changes], 0.0
    for _ in range(PASSES):
        gradients = _gradients(objective, thetas)
        for j, (change, block) in enumerate(zip(changes, blocks, strict=True)):
            gradients[:, j] += _correction(objective, thetas[:, j], change, block)
        step = solve(gradients)
        thetas -= step
        length = float((step.norm(dim=0) / thetas.norm(dim=0).clamp_min(1.0)).max())
        fall = min(1.0, length / before) if before else 1.0
        if length * fall <= CHANGED:  # so long would the next step be
            break
        before = length
    return thetas


def _gradients(objective: Objective, thetas: Tensor) -> Tensor:
    """Return ∇R at several points, by one pass."""  # (p, m) -> (p, m)
    total = objective.rows.sum(partial(_pulls, objective.model, thetas))
    return total / objective.rows.n + objective.l2 * objective.model.ridge(thetas)


def _pulls(model: LinearModel, thetas: Tensor, block: Block) -> Tensor:
    """Return the gradients of some rows at several points."""  # (p, m) -> (p, m)
    k, m, b = model.loss.n_scores, thetas.shape[1], len(block.y)
    s = block.scores(thetas.reshape(model.width + 1, k * m)).view(b, k, m).mT.reshape(b * m, k)
    r = model.loss.slope(s, block.y.repeat_interleave(m)) * block.weight.repeat_interleave(m)[:, None]
    return block.pull(r.view(b, m, k).mT.reshape(b, k * m)).reshape(-1, m)


def _correction(objective: Objective, theta: Tensor, change: Change, block: Block) -> Tensor:
    """Return what the changed rows add to the gradient that they have unchanged."""  # -> (p,)
    own = objective.model.gradient(theta, block)
    if change.label is None:
        return -own / objective.rows.n
    other = replace(block, y=torch.full_like(block.y, change.label))
    return (objective.model.gradient(theta, other) - own) / objective.rows.n
