"""What Python users call to understand one prediction: one function, returning the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dataaudit.result import Result

if TYPE_CHECKING:
    import polars as pl

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
    """
    from dataaudit.audits.asked import no_step
    from dataaudit.audits.explain import ExplainSettings, explain_row
    from dataaudit.encode import EncoderSettings

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
    )
    return Explanation(explain_row(train, test, settings, command=command, on_step=on_step or no_step))
