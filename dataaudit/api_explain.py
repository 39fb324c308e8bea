"""What Python users call to understand one prediction: one function, returning the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dataaudit.result import Result

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.audits.versus import Own
    from dataaudit.explanation_findings import ExplanationFindings


@dataclass(frozen=True)
class Explanation(Result):
    """The result of `explain`.

    Attributes
    ----------
    tables : ExplanationFindings
        All tables and the provenance.
    """

    tables: ExplanationFindings

    @property
    def influences(self) -> pl.DataFrame:
        """The most harmful and most helpful training rows, the largest change of loss first."""
        return self.tables.influences

    @property
    def neighbours(self) -> pl.DataFrame:
        """The nearest training rows by cosine and by Euclidean distance."""
        return self.tables.neighbours

    @property
    def contributions(self) -> pl.DataFrame:
        """What each column or word of the row adds to its score, in log-odds."""
        return self.tables.contributions

    @property
    def models(self) -> pl.DataFrame:
        """What each of two models predicts, and how influence goes with distance; empty for one model."""
        return self.tables.models

    @property
    def versus(self) -> pl.DataFrame:
        """Every training row by each of two models: influence and distance; empty for one model."""
        return self.tables.versus

    @property
    def flip(self) -> str:
        """How few training rows overturn the conclusion, in a sentence; empty where it was not asked."""
        return str(self.tables.provenance.flip.get("sentence", ""))

    @property
    def _written(self) -> ExplanationFindings:
        return self.tables


def explain(
    train: Any,
    test: Any = None,
    *,
    label: str,
    row: int | None = None,
    row_id: str | None = None,
    split_column: str | None = None,
    test_size: float | None = None,
    text: str | Sequence[str] = (),
    features: Sequence[str] = (),
    exclude: Sequence[str] = (),
    categorical: Sequence[str] = (),
    id: str | None = None,  # noqa: A002 - named as the command's option
    text_features: Literal["tfidf", "counts"] = "tfidf",
    basis: Literal["auto", "linear", "spline", "rbf"] = "linear",
    l2: float | None = None,
    top: int = 10,
    show_components: bool = False,
    flip: str | None = None,
    seed: int = 0,
    model: Any = "logistic",
    versus: Any = None,
    refit: bool = False,
    command: str = "dataaudit.explain",
    on_step: Callable[[str, int, int], None] | None = None,
) -> Explanation:
    """Explain the prediction of one test row by the training rows and the columns behind it.

    Parameters
    ----------
    train : str, Path, sequence of these, Polars or pandas frame
        Training rows; without `test`, all rows.
    test : the same, optional
        Test rows; they may lack the label.
    label : str
        The label column.
    row : int, optional
        Number of the test row in its file, 0-based.
    row_id : str, optional
        Its name; this or its number.
    split_column : str, optional
        In one source: the column that says ``train`` for the training rows.
    test_size : float, optional
        In one source: share (below 1) or number of rows to draw for the test.
    text : str or sequence of str
        Columns of free text; found by themselves as a rule.
    features, exclude : sequence of str
        Columns to use, or to leave out; all but the label by default.
    categorical : sequence of str
        Number columns that are codes.
    id : str, optional
        A column of unique row names.
    text_features : {"tfidf", "counts"}
        Sublinear tf-idf, or the paper's bag of words.
    basis : {"linear", "auto", "spline", "rbf"}
        Basis of the numeric columns.
    l2 : float, optional
        Weight decay λ; by leave-one-out loss unless given.
    top : int
        Harmful and helpful training rows, and neighbours by each measure.
    show_components : bool
        Also the influence without the training loss, and without the inverse Hessian.
    flip : str, optional
        Search the fewest training rows whose removal overturns ``"prediction"``, the sign of
        ``"coefficient:COLUMN=LEVEL"``, or the errors of ``"slice:COLUMN=LEVEL"``.
    seed : int
        Seed of everything random.
    model : {"logistic", "svm", "rbf-svm"} or fitted model
        Which model is explained: a logistic regression, or for two classes a support vector machine, linear
        or on RBF features; or a fitted scikit-learn classifier, as for `audit_labels`.
    versus : the same, optional
        Another model of the same rows to compare it with: `Explanation.models` and `Explanation.versus`.
    refit : bool
        Go from the coefficients of fitted models to their minimum.
    command : str
        How it was called, for the provenance.
    on_step : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Explanation
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can mend, in one line with a hint.

    Examples
    --------
    >>> why = dataaudit.explain("train.parquet", "test.parquet", label="readmitted", row=1742)
    >>> why.influences["effect"].head(3)
    >>> two = dataaudit.explain("train.csv", "test.csv", label="y", row=3, model="logistic", versus="rbf-svm")
    >>> two.models["model", "distance_correlation"]
    """
    from dataaudit.audits.asked import no_step
    from dataaudit.audits.explain import explain_row
    from dataaudit.audits.explanation_settings import ExplainSettings
    from dataaudit.encode import EncoderSettings

    names, own = _models(model, versus, refit=refit)
    settings = ExplainSettings(
        label=label,
        row=row,
        row_id=row_id,
        id_column=id,
        columns=EncoderSettings(
            text=(text,) if isinstance(text, str) else tuple(text),
            features=tuple(features),
            exclude=tuple(exclude),
            categorical=tuple(categorical),
            text_features=text_features,
        ),
        basis=basis,
        l2=l2,
        split_column=split_column,
        test_size=test_size,
        top=top,
        show_components=show_components,
        flip=flip,
        seed=seed,
        model=names[0],
        versus=names[1],
        fitted=tuple(own),
    )
    found = explain_row(train, test, settings, own=own, command=command, on_step=on_step or no_step)
    return Explanation(found)


def _models(model: Any, versus: Any, *, refit: bool) -> tuple[tuple[str, str | None], dict[str, Own]]:
    """Return the names of the two models, and those that are the user's own.

    Raises
    ------
    SettingError
        If a refit is asked for and no model is the user's own.
    """
    from dataaudit.audits.versus import Own
    from dataaudit.errors import SettingError

    names: list[str | None] = []
    own: dict[str, Own] = {}
    for given in (model, versus):
        if given is None or isinstance(given, str):
            names.append(given)
            continue
        name = Own(given).name
        name = f"{name} (2)" if name in own else name
        own[name] = Own(given, refit)
        names.append(name)
    if refit and not own:
        raise SettingError("refit is for a fitted model: got none", "leave refit out")
    return (names[0] or "logistic", names[1]), own
