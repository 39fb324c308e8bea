"""What Python users call to explain wrong predictions: one function, returning the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dataaudit.result import Result

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.mismatch_findings import MismatchFindings


@dataclass(frozen=True)
class MismatchAudit(Result):
    """The result of `audit_mismatch`.

    Attributes
    ----------
    tables : MismatchFindings
        All tables and the provenance.
    """

    tables: MismatchFindings

    @property
    def findings(self) -> pl.DataFrame:
        """What was found, the most severe first."""
        return self.tables.findings

    @property
    def slices(self) -> pl.DataFrame:
        """Every level, bin and term, by rank."""
        return self.tables.slices

    @property
    def traces(self) -> pl.DataFrame:
        """Which training rows are behind which test row."""
        return self.tables.traces

    @property
    def shift(self) -> pl.DataFrame:
        """How the test rows differ from the training rows."""
        return self.tables.shift

    @property
    def _written(self) -> MismatchFindings:
        return self.tables


def audit_mismatch(
    train: Any,
    test: Any = None,
    *,
    label: str,
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
    solver: str = "auto",
    damping: float = 0.0,
    rows: int | Sequence[int] = (),
    where: str | None = None,
    k: int = 20,
    prove: int = 20,
    verify: int = 12,
    memory: int = 2**30,
    seed: int = 0,
    command: str = "dataaudit.audit_mismatch",
    on_step: Callable[[str, int, int], None] | None = None,
) -> MismatchAudit:
    """Find the training rows, slices and columns behind wrong predictions, and prove it.

    Parameters
    ----------
    train : str, Path, sequence of these, Polars or pandas frame
        Training rows; without `test`, all rows.
    test : the same, optional
        Test rows. Without labels only the inputs are compared.
    label : str
        The label column.
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
    solver : {"auto", "cholesky", "dual", "cg", "lissa", "arnoldi"}
        How influences get the inverse Hessian: the cheaper exact factor, or by products alone where no factor
        fits or the paper is to be followed. What a row does to itself, and every refit, stays exact.
    damping : float
        Added to the diagonal of the Hessian.
    rows : int or sequence of int
        Numbers of the test rows to trace, 0-based; the mispredicted ones by default.
    where : str, optional
        SQL condition on the columns of the test rows to trace; ``"true"`` for all.
    k : int
        Harmful and helpful training rows to keep per test row.
    prove : int
        Findings to prove by refits.
    verify : int
        Strongest traces to prove by refits.
    memory : int
        Bytes that the influences may take.
    seed : int
        Seed of everything random.
    command : str
        How the audit was called, for the provenance.
    on_step : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    MismatchAudit
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can mend, in one line with a hint.

    Examples
    --------
    >>> audit = dataaudit.audit_mismatch("train.parquet", "test.parquet", label="readmitted")
    >>> audit.findings["title"].head(3)
    """
    from dataaudit.audits.asked import no_step
    from dataaudit.audits.mismatch import find_mismatch
    from dataaudit.audits.pair import MismatchSettings
    from dataaudit.encode import EncoderSettings

    settings = MismatchSettings(
        label=label,
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
        solver=solver,
        damping=damping,
        split_column=split_column,
        test_size=test_size,
        rows=(rows,) if isinstance(rows, int) else tuple(rows),
        where=where,
        k=k,
        prove=prove,
        verify=verify,
        memory=memory,
        seed=seed,
    )
    return MismatchAudit(find_mismatch(train, test, settings, command=command, on_step=on_step or no_step))
