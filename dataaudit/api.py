"""What Python users call: one function per audit; it returns the tables, to keep or to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, cast

from dataaudit.result import Result

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.audits.asked import LabelSettings, ModelName
    from dataaudit.findings import Findings


@dataclass(frozen=True)
class LabelAudit(Result):
    """The result of `audit_labels`.

    Attributes
    ----------
    findings : Findings
        All tables and the provenance.
    """

    findings: Findings

    @property
    def labels(self) -> pl.DataFrame:
        """One row per audited row, the one to look at first first."""
        return self.findings.labels

    @property
    def health(self) -> pl.DataFrame:
        """Whether the numbers can be trusted."""
        return self.findings.health

    @property
    def expected_wrong(self) -> tuple[float, float, float]:
        """Expected number of wrong labels, and the ends of its 90 % interval."""
        provenance = self.findings.provenance
        return provenance.expected_wrong, provenance.expected_low, provenance.expected_high

    @property
    def _written(self) -> Findings:
        return self.findings


def audit_labels(
    source: Any,
    *,
    label: str,
    text: str | Sequence[str] = (),
    features: Sequence[str] = (),
    exclude: Sequence[str] = (),
    categorical: Sequence[str] = (),
    id: str | None = None,  # noqa: A002 - named as the command's option
    weight: str | None = None,
    text_features: Literal["tfidf", "counts"] = "tfidf",
    basis: Literal["auto", "linear", "spline", "rbf"] = "auto",
    l2: float | None = None,
    solver: str = "auto",
    damping: float = 0.0,
    rank: Literal["auto", "p-wrong", "leave-one-out", "self-influence"] = "auto",
    verify: int = 12,
    top: int = 100,
    seed: int = 0,
    model: Any = "logistic",
    refit: bool = False,
    command: str = "dataaudit.audit_labels",
    on_step: Callable[[str, int, int], None] | None = None,
) -> LabelAudit:
    """Find the rows of a table whose labels are most likely wrong.

    Parameters
    ----------
    source : str, Path, sequence of these, Polars or pandas frame
        A file (CSV, TSV, Parquet, NDJSON, JSON, Arrow), a glob, a folder, ``"-"`` for standard input, or a
        frame.
    label : str
        The label column.
    text : str or sequence of str
        Columns of free text; found by themselves as a rule.
    features, exclude : sequence of str
        Columns to use, or to leave out; all but the label by default.
    categorical : sequence of str
        Number columns that are codes.
    id : str, optional
        A column of unique row names.
    weight : str, optional
        A column of row weights, 0 or more.
    text_features : {"tfidf", "counts"}
        Sublinear tf-idf, or the paper's bag of words.
    basis : {"auto", "linear", "spline", "rbf"}
        Basis of the numeric columns; by leave-one-out loss unless given.
    l2 : float, optional
        Weight decay λ; by leave-one-out loss unless given.
    solver : {"auto", "cholesky", "dual"}
        Which factor of the Hessian is made; every row's leave-one-out needs one.
    damping : float
        Added to the diagonal of the Hessian.
    rank : {"auto", "p-wrong", "leave-one-out", "self-influence"}
        Order of the list; "auto" takes the probability of a wrong label where the data support it.
    verify : int
        True refits to compare predictions with.
    top : int
        Rows that get evidence.
    seed : int
        Seed of everything random.
    model : {"logistic", "svm", "rbf-svm"} or fitted model
        What is trained: a logistic regression, or for two classes a support vector machine, linear or on RBF
        features. Or a fitted scikit-learn `LogisticRegression`, `LinearSVC`, `SVC`, `SGDClassifier` or
        `RidgeClassifier`, alone or last in a `Pipeline`, to audit with as it is.
    refit : bool
        Go from the coefficients of a fitted model to its minimum, where one that is plainly elsewhere is
        refused.
    command : str
        How the audit was called, for the provenance.
    on_step : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    LabelAudit
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can mend, in one line with a hint.

    Examples
    --------
    >>> audit = dataaudit.audit_labels("mail.parquet", label="label", text="text")
    >>> audit.labels.head(20)
    """
    from dataaudit.audits.asked import LabelSettings
    from dataaudit.encode import EncoderSettings
    from dataaudit.errors import SettingError
    from dataaudit.solver_names import FACTORS, require_solver

    require_solver(solver, FACTORS, why="has no leave-one-out of every row, by which labels are ranked")
    columns = EncoderSettings(
        text=_names(text),
        features=_names(features),
        exclude=_names(exclude),
        categorical=_names(categorical),
        text_features=text_features,
    )
    settings = LabelSettings(
        label=label,
        id_column=id,
        weight=weight,
        columns=columns,
        basis=basis,
        l2=l2,
        model=cast("ModelName", model) if isinstance(model, str) else "logistic",
        solver=solver,
        damping=damping,
        rank=rank,
        verify=verify,
        top=top,
        seed=seed,
    )
    fitted = None if model is None or isinstance(model, str) else (model, refit)
    if fitted is None and refit:
        raise SettingError("refit is for a fitted model: got none", "leave refit out")
    return LabelAudit(_find_wrong_labels(source, settings, fitted=fitted, command=command, on_step=on_step))


def _find_wrong_labels(
    source: Any,
    settings: LabelSettings,
    *,
    fitted: tuple[Any, bool] | None,
    command: str,
    on_step: Callable[[str, int, int], None] | None,
) -> Findings:
    """Read and encode while another thread imports torch, which takes a second; then train and rank."""
    Thread(target=_import_ahead).start()
    from dataaudit.audits.asked import encode_training, no_step, read_labelled
    from dataaudit.errors import SettingError

    if fitted is not None and (settings.l2 is not None or settings.basis != "auto"):
        what = "a model of your own has its ridge and its features already"
        raise SettingError(what, "leave l2 and basis out")
    model, refit = fitted or (None, False)
    step = on_step or no_step
    dataset, target = read_labelled(source, settings, on_step=step)
    training = encode_training(dataset, target, settings, on_step=step) if fitted is None else None
    from dataaudit.audits.labels import label_findings
    from dataaudit.audits.train import train, train_adopted

    if training is not None:
        trained = train(training, settings, on_step=step)
    else:
        trained = train_adopted(model, dataset, target, settings=settings, refit=refit, on_step=step)
    return label_findings(dataset, target, trained, settings=settings, command=command, on_step=step)


def _import_ahead() -> None:
    """Import what is needed once the data are there: torch, then what comes at the end."""
    for name in ("dataaudit.audits.labels", "dataaudit.audits.train", "scipy.optimize"):
        import_module(name)


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)
