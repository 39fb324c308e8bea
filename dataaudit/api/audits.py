"""What Python users call: one function per audit; it returns the tables, to keep or to look at.

What Python users call to prove findings: retrain, and compare with what was predicted.

What every audit returns to Python: tables that can be written to a folder and looked at in a notebook.

What Python users call to understand one prediction: one function, returning the tables.

What Python users call to explain wrong predictions: one function, returning the tables.

What Python users call to see how few training cells flip predictions: one function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, cast

from dataaudit.errors import SettingError, WriteError

if TYPE_CHECKING:
    import polars as pl

    from dataaudit.audits.explain.compare import OwnModel
    from dataaudit.audits.rerun import Rerun
    from dataaudit.audits.vulnerability.tables import AttackResults
    from dataaudit.findings.redact import Level
    from dataaudit.findings.schemas import (
        AnyFindings,
        ExplanationFindings,
        Findings,
        MismatchFindings,
        VulnerabilityFindings,
    )
    from dataaudit.training.encoded import LabelSettings, ModelName


def verify(
    folder: str | Path,
    source: Any = None,
    *,
    test: Any = None,
    top: int = 50,
    on_step: Callable[[str, int, int], None] | None = None,
) -> Rerun:
    """Retrain without the rows that findings speak of, and compare with what was predicted.

    Parameters
    ----------
    folder : str or Path
        What an audit of labels or of a mismatch wrote. Its refits, its checks and its page are renewed.
    source, test : str, Path, sequence of these, or frame, optional
        Where the data are now, if elsewhere than they were; `test` for a mismatch of two tables.
    top : int
        Rows to remove, and for labels to relabel; for a mismatch findings as well.
    on_step : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Rerun
        The refits as a Polars frame, their `agreement` with the predictions, and whether those were
        `reproduced`.

    Raises
    ------
    AuditError
        If the folder holds no findings, or the data are not the ones that were audited.

    Examples
    --------
    >>> proof = dataaudit.verify("audit-findings", top=50)
    >>> proof.agreement.slope, proof.reproduced
    """
    from dataaudit.audits.rerun import rerun_labels, rerun_mismatch
    from dataaudit.errors import SettingError
    from dataaudit.findings.schemas import Findings, MismatchFindings, MismatchProvenance, Provenance
    from dataaudit.findings.tables import read_provenance
    from dataaudit.training.encoded import no_step
    from dataaudit.writers.html import write_report

    if top < 1:
        raise SettingError(f"top must be 1 or more: got {top}", "leave it out")
    path, step = Path(folder), on_step or no_step
    kind = read_provenance(path).get("kind")
    if kind == MismatchProvenance.KIND:
        done = rerun_mismatch(MismatchFindings.read(path), source, test_source=test, top=top, on_step=step)
    elif kind == Provenance.KIND:
        done = rerun_labels(Findings.read(path), source, top=top, on_step=step)
    else:
        what = f"{path.as_posix()} holds {kind}, which has nothing to refit"
        raise SettingError(what, "name the folder of audit labels or audit mismatch")
    done.findings.write(path)
    write_report(done.findings, path / "report.html")
    return done


class Result(ABC):
    """The tables of an audit with their page."""

    @property
    @abstractmethod
    def _written(self) -> AnyFindings:
        """The tables that are written and shown."""

    def write(self, folder: str | Path, *, redact: Level = "none") -> Path:
        """Write the tables, the provenance and ``report.html``.

        Parameters
        ----------
        folder : str or Path
            Made if absent.
        redact : {"none", "cells", "all"}
            What the page withholds, now and when it is written anew: nothing; the values of cells; also the
            names of rows, classes, columns and files. The tables beside it are whole.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        WriteError
            If the folder cannot be written to; nothing is left half-written.
        """
        from dataaudit.findings.redact import remember
        from dataaudit.writers.html import write_report

        tables = remember(self._written, redact)
        path = tables.write(folder)
        write_report(tables, path / "report.html")
        return path

    def _repr_html_(self) -> str:
        """Return the page for a notebook."""
        from dataaudit.writers.html import notebook

        return notebook(self._written)


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
    from dataaudit.errors import SettingError
    from dataaudit.features import EncoderSettings
    from dataaudit.solver_names import FACTORS, require_solver
    from dataaudit.training.encoded import LabelSettings

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
    from dataaudit.errors import SettingError
    from dataaudit.training.encoded import encode_training, no_step, read_labelled

    if fitted is not None and (settings.l2 is not None or settings.basis != "auto"):
        what = "a model of your own has its ridge and its features already"
        raise SettingError(what, "leave l2 and basis out")
    model, refit = fitted or (None, False)
    step = on_step or no_step
    dataset, target = read_labelled(source, settings, on_step=step)
    training = encode_training(dataset, target, settings, on_step=step) if fitted is None else None
    from dataaudit.audits.labels import label_findings
    from dataaudit.training.train import train, train_adopted

    if training is not None:
        trained = train(training, settings, on_step=step)
    else:
        trained = train_adopted(model, dataset, target, settings=settings, refit=refit, on_step=step)
    return label_findings(dataset, target, trained, settings=settings, command=command, on_step=step)


def _import_ahead() -> None:
    """Import what is needed once the data are there: torch, then what comes at the end."""
    for name in ("dataaudit.audits.labels", "dataaudit.training.train", "scipy.optimize"):
        import_module(name)


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Return one name or several as a tuple."""
    return (value,) if isinstance(value, str) else tuple(value)


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
    from dataaudit.audits.explain.audit import explain_row
    from dataaudit.audits.explain.settings import ExplainSettings
    from dataaudit.features import EncoderSettings
    from dataaudit.training.encoded import no_step

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


def _models(model: Any, versus: Any, *, refit: bool) -> tuple[tuple[str, str | None], dict[str, OwnModel]]:
    """Return the names of the two models, and those that are the user's own.

    Raises
    ------
    SettingError
        If a refit is asked for and no model is the user's own.
    """
    from dataaudit.audits.explain.compare import OwnModel
    from dataaudit.errors import SettingError

    names: list[str | None] = []
    own: dict[str, OwnModel] = {}
    for given in (model, versus):
        if given is None or isinstance(given, str):
            names.append(given)
            continue
        name = OwnModel(given).name
        name = f"{name} (2)" if name in own else name
        own[name] = OwnModel(given, refit)
        names.append(name)
    if refit and not own:
        raise SettingError("refit is for a fitted model: got none", "leave refit out")
    return (names[0] or "logistic", names[1]), own


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
    from dataaudit.audits.mismatch.audit import find_mismatch
    from dataaudit.audits.testset import MismatchSettings
    from dataaudit.features import EncoderSettings
    from dataaudit.training.encoded import no_step

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


SUFFIXES = (".parquet", ".csv", ".ndjson", ".jsonl")


@dataclass(frozen=True)
class Vulnerability(Result):
    """The result of `vulnerability`.

    Attributes
    ----------
    tables : VulnerabilityFindings
        All tables and the provenance.
    story : AttackResults
        What they were made from.
    """

    tables: VulnerabilityFindings
    story: AttackResults

    @property
    def shares(self) -> pl.DataFrame:
        """By the number of changed training rows, how many predictions flip and what that takes."""
        return self.tables.shares

    @property
    def attacks(self) -> pl.DataFrame:
        """Every attack: the test row before, as predicted, and after a true refit."""
        return self.tables.attacks

    @property
    def changes(self) -> pl.DataFrame:
        """Every cell, or word, that was changed."""
        return self.tables.changes

    @property
    def fragile(self) -> pl.DataFrame:
        """All training rows, the most fragile first."""
        return self.tables.fragile

    def write_perturbed(self, path: str | Path) -> Path:
        """Write the training rows as the smallest attack that flips the one test row left them.

        Parameters
        ----------
        path : str or Path
            ``.parquet``, ``.csv`` or ``.ndjson``; what is there is replaced, whole or not at all.

        Returns
        -------
        Path
            The same.

        Raises
        ------
        SettingError
            If several test rows were attacked, or the suffix is unknown.
        WriteError
            If the file cannot be written, or is one that the rows were read from.
        """
        from dataaudit.audits.vulnerability.tables import perturbed_rows
        from dataaudit.data.paths import files_read
        from dataaudit.files import write_whole

        where = checked_path(path, files_read(self.tables.provenance))
        frame = perturbed_rows(self.story, id_column=self.tables.provenance.settings.get("id_column"))
        write_whole(where, _encoded(frame, where))
        return where

    @property
    def _written(self) -> VulnerabilityFindings:
        return self.tables


def checked_path(path: str | Path, sources: Iterable[str]) -> Path:
    """Return a path that changed data can be written to.

    Raises
    ------
    SettingError
        If its suffix is unknown.
    WriteError
        If its folder is not there, or it is one of the sources.
    """
    from dataaudit.data.paths import require_apart

    where = Path(path)
    if where.suffix.lower() not in SUFFIXES:
        what = f"changed data cannot be written as {where.name!r}"
        raise SettingError(what, f"end the name in one of {', '.join(SUFFIXES)}")
    if not where.absolute().parent.is_dir():
        raise WriteError(f"there is no folder {where.parent.as_posix()}", "make it first")
    require_apart([where], sources, hint="name another file for the changed data")
    return where


def _encoded(frame: pl.DataFrame, path: Path) -> bytes:
    """Return a frame as the bytes of a file."""
    import io

    out = io.BytesIO()
    if path.suffix.lower() == ".parquet":
        frame.write_parquet(out)
    elif path.suffix.lower() == ".csv":
        if any(kind.is_nested() for kind in frame.dtypes):
            raise SettingError("CSV has no vectors", "write to a .parquet file")
        frame.write_csv(out)
    else:
        frame.write_ndjson(out)
    return out.getvalue()


def vulnerability(
    train: Any,
    test: Any = None,
    *,
    label: str,
    rows: int | Sequence[int] = (),
    tests: int = 20,
    within: float = 0.1,
    swaps: int = 1,
    words: int = 3,
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
    seed: int = 0,
    command: str = "dataaudit.vulnerability",
    on_step: Callable[[str, int, int], None] | None = None,
) -> Vulnerability:
    """See how few training cells, changed how little, flip the predictions of test rows.

    For auditing one's own data (Koh & Liang 2017, section 5.2): 1, 2 and 10 training rows are changed step by
    step, with retraining, within what the data themselves allow. Nothing but the report comes of it, unless
    `Vulnerability.write_perturbed` is called.

    Parameters
    ----------
    train : str, Path, sequence of these, Polars or pandas frame
        Training rows; without `test`, all rows.
    test : the same, optional
        Labelled test rows.
    label : str
        The label column.
    rows : int or sequence of int
        Numbers of the test rows to attack, 0-based; by default a sample.
    tests : int
        Size of the sample of correctly predicted test rows.
    within : float
        How far a number may move: a share of its column's interquartile range.
    swaps, words : int
        Category cells, and words of texts, that may change in a training row.
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
    seed : int
        Seed of everything random.
    command : str
        How it was called, for the provenance.
    on_step : callable, optional
        Called with (stage, done, total).

    Returns
    -------
    Vulnerability
        Tables as Polars frames, `.write(folder)`, and a view in notebooks.

    Raises
    ------
    AuditError
        For anything that the caller can mend, in one line with a hint.

    Examples
    --------
    >>> found = dataaudit.vulnerability("train.parquet", "test.parquet", label="y")
    >>> found.shares.select("rows", "flipped", "attacked", "cells")
    """
    from dataaudit.audits.vulnerability.audit import audit_vulnerability
    from dataaudit.audits.vulnerability.domain import Limits, VulnerabilitySettings
    from dataaudit.features import EncoderSettings
    from dataaudit.training.encoded import no_step

    settings = VulnerabilitySettings(
        label=label,
        rows=(rows,) if isinstance(rows, int) else tuple(rows),
        tests=tests,
        limits=Limits(within, swaps, words),
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
        seed=seed,
    )
    return Vulnerability(
        *audit_vulnerability(train, test, settings, command=command, on_step=on_step or no_step)
    )
