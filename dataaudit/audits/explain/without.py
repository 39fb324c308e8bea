"""What if some training rows were not there: one Newton step for all of them, and the refit that proves it.

A condition says which rows leave, such as ``hospital = 3``. What becomes of the prediction that is explained,
of the errors of a slice of the test rows, and of all labelled test rows is read off twice:

    predicted   at θ̂ + (H - H_S)⁻¹ (1/n) Σ_S ω g, `groups.group_step`
    measured    at the minimum without the rows, `groups.refit_group`

Koh & Liang (2017) leave open what whole subpopulations of the training rows do: the sum of their influences
misses that they also leave the Hessian. The encoding, λ, and n of the objective stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from dataaudit.audits.conditions import Mask, fulfilling, some_fulfilling
from dataaudit.audits.explain.tables import ExplainedRow, Reals, Rows
from dataaudit.audits.testset import Tested
from dataaudit.audits.validation import retrained_move
from dataaudit.data.dataset import Dataset
from dataaudit.errors import SettingError
from dataaudit.features.target import Target
from dataaudit.findings import sentences
from dataaudit.findings.schemas import LEFT_OUT, LEFT_OUT_CLASSES, TURNED
from dataaudit.influence.groups import group_step, refit_group
from dataaudit.model.losses import Normal, Poisson, Softmax
from dataaudit.model.objective import Change
from dataaudit.options import ExplainOptions
from dataaudit.training.trained import Trained

_LABEL: Final = 60  # characters of a class in a sentence
_WHEN: Final = ("before", "predicted", "after")


@dataclass(frozen=True)
class Condition:
    """Which training rows are to leave, and which test rows are counted apart."""

    without: str
    where: str | None
    rows: Rows  # (m,) positions of the rows that leave, among the labelled training rows
    slice: Mask | None  # of all test rows as read

    @classmethod
    def of(
        cls, known: Dataset, new: Dataset, *, target: Target, settings: ExplainOptions
    ) -> Condition | None:
        """Read the conditions; None where nothing is to leave."""
        if settings.without is None:
            return None
        mask = fulfilling(known, settings.without, option="without", whose="training")
        rows, part = np.flatnonzero(mask[np.asarray(target.kept)]), None
        _require_rest(rows, settings.without, target)
        if settings.where is not None:
            part = some_fulfilling(new, settings.where, option="where", whose="test")
        return cls(settings.without, settings.where, rows, part)


def _require_rest(rows: Rows, condition: str, target: Target) -> None:
    """Refuse to leave out no row, all rows, or all of a class."""
    if not len(rows):
        what = f"no training row with a label fulfils {condition!r}"
        raise SettingError(what, "check the condition: there is nothing to leave out")
    if len(rows) == len(target.y):
        what = f"all {len(target.y):,} training rows fulfil {condition!r}"
        raise SettingError(what, "narrow the condition: some rows have to stay")
    if target.quantity is not None:
        return
    stay = np.bincount(np.delete(target.y, rows), minlength=len(target.classes))
    if not stay.all():
        gone = target.classes[int(stay.argmin())][:_LABEL]
        what = f"every training row of class {gone!r} fulfils {condition!r}"
        raise SettingError(what, "narrow the condition: every class needs a row that stays")


@dataclass(frozen=True)
class LeftOut:
    """What leaving rows out does: three tables, and the facts of the provenance."""

    without: pl.DataFrame
    classes: pl.DataFrame
    turned: pl.DataFrame
    facts: dict[str, Any]


def leave_out(
    explained: ExplainedRow,
    condition: Condition,
    judged: tuple[Rows, Tested] | None,  # positions of the labelled test rows, and these rows
) -> LeftOut:
    """Predict by one step what leaving rows out does, and measure it by a refit."""
    trained = explained.trained
    if not isinstance(trained.objective.model.loss, Softmax | Normal | Poisson):
        raise SettingError("without is measured for a logistic regression", "leave one of them out")
    at, near = torch.from_numpy(condition.rows), trained.prepared.precondition
    thetas = [trained.fit.theta, group_step(trained.objective, trained.fit.theta, at, precondition=near)]
    if trained.network is None:
        fit = refit_group(trained.objective, trained.fit, at, precondition=near).require_converged()
        thetas.append(fit.theta)
    own = _Compared.of(trained, explained.tested, thetas, at=np.array([explained.at]), condition=condition)
    scopes, turned = [own.scope("prediction", np.ones(1, dtype=bool))], [own.table(explained, np.arange(1))]
    if judged is not None:
        every = _Compared.of(trained, judged[1], thetas, at=judged[0], condition=condition)
        if condition.where is not None:
            if not every.slice.any():
                what = f"no test row that fulfils {condition.where!r} has a label that training knows"
                raise SettingError(what, "narrow or widen the condition")
            scopes.append(every.scope("slice", every.slice))
        scopes.append(every.scope("test", np.ones(len(every.at), dtype=bool)))
        other = np.flatnonzero(every.turns & (every.at != explained.at))
        turned.append(every.table(explained, other))
    elif condition.where is not None:
        raise SettingError("no test row has a label, so no slice has errors", "leave where out")
    table = pl.DataFrame(scopes, schema=LEFT_OUT, orient="row")
    facts = _facts(explained, condition, own, scopes=table)
    return LeftOut(table, _classes(trained, condition.rows), pl.concat(turned), facts)


@dataclass(frozen=True)
class _Compared:
    """Some test rows at three points: as it is, after one step, after a refit."""

    at: Rows  # (t,) positions among all test rows
    label: list[str]  # (t,) as people write them
    names: NDArray[np.object_]  # (3, t) what is predicted
    p: Reals  # (3, t) of the label; of numbers nan
    most: Reals  # (3, t) of what is predicted
    wrong: Mask  # (3, t) which are mispredicted
    loss: Reals  # (3, t) in nats
    slice: Mask  # (t,) which fulfil the condition on test rows

    @classmethod
    def of(
        cls, trained: Trained, tested: Tested, thetas: Sequence[Tensor], *, at: Rows, condition: Condition
    ) -> _Compared:
        """Predict test rows; a network is trained again."""
        scores = [trained.objective.model.scores(theta, tested.block) for theta in thetas]
        if trained.network is not None:
            leave = Change(torch.from_numpy(condition.rows))
            scores.append(scores[0] + retrained_move(trained, leave, tested.dataset.frame))
        y, part = tested.block.y, np.zeros(len(at), dtype=bool)
        if condition.slice is not None:
            part = condition.slice[at]
        names = np.array([trained.predictions(s) for s in scores], dtype=object).reshape(len(scores), -1)
        loss = np.stack([trained.loss(s, y).numpy() for s in scores])
        wrong = np.stack([trained.wrong(s, y) for s in scores])
        p = most = np.full(loss.shape, np.nan)
        if trained.quantity is None:
            every = np.stack([trained.log_probabilities(s).exp().numpy() for s in scores])
            p, most = every[:, np.arange(len(y)), tested.y], every.max(2)
        return cls(at, trained.label_names(y.numpy()), names, p, most, wrong, loss, part)

    @property
    def turns(self) -> Mask:
        """Which rows get another class after the refit, or are unusually far off before or after it."""
        before, _, after = self.wrong if np.isnan(self.p).any() else self.names
        return np.asarray(before != after)  # (t,)

    def scope(self, name: str, rows: Mask) -> tuple[Any, ...]:
        """Return a row of `LEFT_OUT`."""
        errors = self.wrong[:, rows].sum(1)
        return name, int(rows.sum()), *map(int, errors), *map(float, self.loss[:, rows].mean(1))

    def table(self, explained: ExplainedRow, rows: Rows) -> pl.DataFrame:
        """Return some of the rows as `TURNED`."""
        at, own = self.at[rows], self.p[:, rows]
        before, step, after = self.names[:, rows]
        label = pl.Series(np.array(self.label, dtype=object)[rows], dtype=pl.String)
        if explained.label is None:
            label = label.set(pl.Series(at == explained.at), None)
        return pl.DataFrame(
            {
                "test_row_id": explained.new.row_id.gather(at),
                "test_row": explained.new.row.gather(at),
                "label": label,
                "in_slice": self.slice[rows],
                "predicted_label": before,
                "predicted_by_step": step,
                "predicted_without": after,
                **{f"p_{when}": pl.Series(own[i]).fill_nan(None) for i, when in enumerate(_WHEN)},
                **{f"loss_{when}": self.loss[i, rows] for i, when in enumerate(_WHEN)},
            },
            schema_overrides=dict(TURNED),
            strict=False,
        ).cast(TURNED)


def _classes(trained: Trained, rows: Rows) -> pl.DataFrame:
    """Return how many rows of each class leave."""
    if trained.quantity is not None:
        return pl.DataFrame(schema=LEFT_OUT_CLASSES)
    y, n = trained.objective.rows.y.numpy(), len(trained.classes)
    counts = [np.bincount(some, minlength=n) for some in (y, y[rows])]
    columns = {"class": list(trained.classes), "n": counts[0], "n_removed": counts[1]}
    return pl.DataFrame(columns, schema=LEFT_OUT_CLASSES)


def _facts(
    explained: ExplainedRow, condition: Condition, own: _Compared, *, scopes: pl.DataFrame
) -> dict[str, Any]:
    """Return what the provenance says of it."""
    m, n = len(condition.rows), explained.trained.objective.rows.n
    is_number = explained.trained.quantity is not None
    tests = scopes.filter(scope="test").row(0, named=True) if "test" in scopes["scope"] else {}
    counts = {
        "rows": m,
        "share": m / n,
        "changes": bool(own.turns[0]),
        "p": None if is_number else float(own.most[0, 0]),
        "p_after": None if is_number else float(own.most[2, 0]),
        "tests": tests.get("n"),
        "before": tests.get("errors_before"),
        "after": tests.get("errors_after"),
    }
    before, after = names = own.names[[0, 2], 0].tolist()
    sentence = sentences.without(
        counts, f"where {condition.without}", before=before[:_LABEL], after=after[:_LABEL]
    )
    said = {"condition": condition.without, "where": condition.where, "sentence": sentence}
    return said | {"predictions": names} | counts
