"""The same audit once more, from what its findings say of themselves: for more refits, a review, or a repair.

The data are read again and must have the content hash that the findings were made from. Everything random is
seeded, so training again gives the same predictions; how far they are from those on disk is reported, and the
refits say how far either is from the truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl

from dataaudit.data.dataset import Dataset, Dialect
from dataaudit.data.formats.encodings import origin_encoding
from dataaudit.data.load import load
from dataaudit.errors import DataError
from dataaudit.escape import shown
from dataaudit.features.target import Target, class_texts
from dataaudit.findings.schemas import Findings, MismatchFindings
from dataaudit.findings.tables import schema
from dataaudit.memory import limited
from dataaudit.options import LabelOptions, MismatchOptions, StepCallback, TrainingOptions, ignore_progress
from dataaudit.statistics import Agreement, agreement
from dataaudit.training.encoded import encode_training, read_labelled

if TYPE_CHECKING:  # a review reads the rows again without training anything
    from dataaudit.training.trained import Trained

Asked = TypeVar("Asked", LabelOptions, MismatchOptions)
REFITS = schema("what text, change text, predicted real, measured real")
# Nats by which a prediction may differ when it is made again: other libraries and processors round otherwise.
SAME = 1e-6
AGAIN = "run the audit again"
ELSEWHERE = "run the audit again, or say with --data where they are as they were"
ON_TEST = ", on test row "  # between a training row that is removed and the test row whose loss changes


@dataclass(frozen=True)
class Opened:
    """The labelled rows of an audit, in the order of the data, their classes, and what was asked of them."""

    dataset: Dataset
    target: Target
    settings: LabelOptions

    def train(self, on_step: StepCallback = ignore_progress) -> Trained:
        """Train the model of the audit again."""
        return _train(self.dataset, self.target, self.settings, on_step)

    def audit(self, on_step: StepCallback = ignore_progress) -> tuple[Findings, Trained]:
        """Make the audit again."""
        from dataaudit.audits.labels import label_findings  # noqa: PLC0415 - torch

        with limited(self.settings.limit):
            trained = self.train(on_step)
            found = label_findings(
                self.dataset, self.target, trained, settings=self.settings, on_step=on_step
            )
        return found, trained


def asked_again(settings: Asked, known: Mapping[str, Any], model: Any) -> Asked:
    """Return the settings of an audit with the network that it was of, which is not on disk."""
    _require_weights(known)
    if "network" not in known:
        return settings
    if model is None:
        what = "these findings are of a network, which is not on disk"
        raise DataError(what, "give it: model=ModuleModel(…)")
    from dataaudit.model.torch import digest_of  # noqa: PLC0415 - torch

    if digest_of(model) != known["network"]:
        raise DataError("the network is not the one that was audited: its parameters differ", AGAIN)
    return replace(settings, model=model)


def _require_weights(known: Mapping[str, Any]) -> None:
    """Refuse to train again without the weights that were an array."""
    if known.get("sample_weight"):
        what = "these findings are of rows with sample_weight, which is not on disk"
        raise DataError(what, "audit with the weights in a column, named by weight")


def _train(dataset: Dataset, target: Target, settings: TrainingOptions, on_step: StepCallback) -> Trained:
    from dataaudit.training.train import train  # noqa: PLC0415 - torch

    return train(encode_training(dataset, target, settings, on_step=on_step), settings, on_step=on_step)


def reopen(
    findings: Findings, source: Any = None, *, hint: str = ELSEWHERE, on_step: StepCallback = ignore_progress
) -> Opened:
    """Read the labelled rows that were audited, now at `source` or where they were; refuse others."""
    known = findings.provenance
    settings = LabelOptions.from_dict(known.settings)
    opened = _read(_source(source, known.settings, "source"), settings, on_step)
    _require_same(opened.dataset, known.origins, hint)
    return opened


def _read(source: Any, settings: LabelOptions, on_step: StepCallback) -> Opened:
    return Opened(*read_labelled(source, settings, on_step=on_step), settings)


def _source(given: Any, known: Mapping[str, Any], name: str) -> Any:
    """Return where the data are, as given now or then."""
    if given is not None:
        return given
    then = known.get(name)
    if not then or "-" in then:
        raise DataError("these findings are of data that came from no file", "name a file that has them now")
    return list(then)


def _require_same(dataset: Dataset, origins: Sequence[Mapping[str, Any]], hint: str = AGAIN) -> None:
    """Refuse data with another content, wherever they lie now."""
    then = sorted(str(origin["sha256"]) for origin in origins)
    if sorted(origin.sha256 for origin in dataset.origins) == then:
        return
    changed = next((o.path for o in dataset.origins if o.sha256 not in then), dataset.origins[0].path)
    raise DataError(f"{shown(changed)} has changed since it was audited: its content hash differs", hint)


@dataclass(frozen=True)
class Rerun:
    """An audit made again."""

    findings: Findings | MismatchFindings  # those on disk, with the new refits and checks
    refits: pl.DataFrame  # what was changed, and the change of loss, predicted and measured, in nats
    difference: float  # largest, between a prediction on disk and the same one made again, in nats

    @property
    def reproduced(self) -> bool:
        """Whether the predictions on disk came out again."""
        return self.difference <= SAME

    @property
    def agreement(self) -> Agreement:
        """Predicted against measured, over all refits."""
        from dataaudit.audits.validation import Refit  # noqa: PLC0415 - torch

        rows = self.refits.iter_rows(named=True)
        return agreement([Refit(at, r["change"], r["predicted"], r["measured"]) for at, r in enumerate(rows)])

    @property
    def spearman(self) -> float:
        """Rank correlation of predicted and measured; nan for fewer than two refits."""
        found = self.refits.select(pl.corr("predicted", "measured", method="spearman")).item()
        return float("nan") if found is None else float(found)

    def _repr_html_(self) -> str:
        """Return the agreement, the first refits and their chart for a notebook."""
        from dataaudit.report import blocks, common, figures, words  # noqa: PLC0415 - for notebooks alone
        from dataaudit.writers.html import glance  # noqa: PLC0415 - the same

        refits = [common.Refit(*row) for row in self.refits.iter_rows()]
        chart = figures.compare(
            refits, ("refits", "Predicted against measured (nats)", "refit"), words.signed
        )
        rows = tuple(
            (blocks.Cell(name), change, words.signed(predicted, 3), words.signed(measured, 3))
            for name, change, predicted, measured in refits
        )
        table = blocks.Table(caption="Refits", head=("what", "change", "predicted", "measured"), rows=rows)
        shown = (table, *((blocks.Figure(chart),) if chart else ()))
        again = "came out again" if self.reproduced else "did not come out again"
        report = blocks.Report(
            kind="verify",
            over="Retrained without the rows that findings speak of",
            name="",
            headline=common.refits_of(refits, none="Too few refits to say whether predictions hold")[0],
            sentences=(f"The predictions on disk {again}.",),
            sections=(blocks.Section("Refits", shown),),
        )
        return glance(report, (("Every refit", ".refits"), ("How far they agree", ".agreement")))


def rerun_labels(
    findings: Findings,
    source: Any = None,
    *,
    top: int,
    model: Any = None,
    on_step: StepCallback = ignore_progress,
) -> Rerun:
    """Audit labels again, and refit without the first `top` rows and with other labels for them."""
    if not findings.provenance.roles:
        raise DataError("these findings are of a model of your own, which is not on disk", AGAIN)
    known = findings.provenance.settings
    asked = asked_again(LabelOptions.from_dict(known), known, model)
    opened = replace(reopen(findings, source, hint=AGAIN, on_step=on_step), settings=asked)
    again, _ = replace(opened, settings=replace(opened.settings, verify=2 * top)).audit(on_step)
    columns = ["delta_loss_if_removed", "delta_loss_if_relabelled"]
    refits = again.verification.select(pl.col("row_id").alias("what"), "change", "predicted", "measured")
    return Rerun(
        replace(findings, verification=again.verification, health=again.health),
        refits.cast(REFITS),
        _difference(findings.labels, again.labels, on=["row_id"], columns=columns),
    )


def rerun_mismatch(
    tables: MismatchFindings,
    train_source: Any = None,
    *,
    test_source: Any = None,
    top: int,
    model: Any = None,
    on_step: StepCallback = ignore_progress,
) -> Rerun:
    """Audit a mismatch again, and refit the first `top` findings and the strongest traces."""
    from dataaudit.audits.mismatch.audit import mismatch_findings  # noqa: PLC0415 - torch
    from dataaudit.audits.testset import predict, read_pair  # noqa: PLC0415 - the same

    known = tables.provenance
    settings = asked_again(MismatchOptions.from_dict(known.settings), known.settings, model)
    settings = replace(settings, verify=top, prove=top)
    one = settings.split_column is not None or settings.test_size is not None
    sources = _source(train_source, known.settings, "train"), None
    if not one:
        sources = sources[0], _source(test_source, known.settings, "test")
    on_step("read", 0, 1)
    pair = read_pair(*sources, settings)
    on_step("read", 1, 1)
    _require_same(pair.train, known.origins)
    _require_same(pair.test, known.test_origins)
    if pair.y is None:
        raise DataError("the test rows have no labels, so no loss can be measured", "add their labels")
    trained = _train(pair.train, pair.target, settings, on_step)
    tested = predict(trained, pair.test, pair.y)
    again = mismatch_findings(pair, trained, tested, settings=settings, command="", on_step=on_step)
    columns = ["influence", "delta_loss_if_removed"]
    same = _difference(tables.traces, again.traces, on=["test_row_id", "train_row_id"], columns=columns)
    return Rerun(
        replace(tables, verification=again.verification, health=again.health),
        _mismatch_refits(again),
        same,
    )


def _mismatch_refits(again: MismatchFindings) -> pl.DataFrame:
    """Return the refits of findings, then those of traces."""
    done = pl.col("measured").is_not_null() & pl.col("predicted").is_not_null()
    name = pl.concat_str(pl.lit("finding "), pl.col("finding").cast(pl.String))
    of_findings = again.fixes.filter(done).select(
        name.alias("what"), pl.col("fix").alias("change"), "predicted", "measured"
    )
    pair = pl.concat_str(pl.col("train_row_id"), pl.lit(ON_TEST), pl.col("test_row_id"))
    of_traces = again.verification.select(pair.alias("what"), "change", "predicted", "measured")
    return pl.concat([of_findings.cast(REFITS), of_traces.cast(REFITS)])


def _difference(old: pl.DataFrame, new: pl.DataFrame, *, on: Sequence[str], columns: Sequence[str]) -> float:
    """Return the largest difference of some columns; infinite where rows are not the same."""
    both = old.select(*on, *columns).join(new.select(*on, *columns), on=on, how="full", coalesce=True)
    gaps = both.select((pl.col(c) - pl.col(f"{c}_right")).abs() for c in columns)
    if len(both) != len(old) or len(both) != len(new) or sum(gaps.null_count().row(0)):
        return float("inf")
    return max((float(worst) for worst in gaps.max().row(0) if worst is not None), default=0.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a model stands, before or after a repair."""

    rows: int  # labelled rows that it is trained on
    loo_loss: float  # mean leave-one-out loss of a row, in nats
    expected_wrong: float  # wrong labels; nan where it cannot be estimated
    error: float = float("nan")  # of labels that are numbers the mean size of left-out errors, in their unit
    test_error: float = float("nan")  # the same of test rows
    test_rows: int = 0  # labelled
    test_loss: float = float("nan")  # mean, in nats; nan without test rows
    test_accuracy: float = float("nan")  # share predicted right


def compare(
    findings: Findings,
    repaired: Path,
    *,
    source: str,
    test: str | None = None,
    weight_column: str | None = None,
    on_step: StepCallback = ignore_progress,
) -> tuple[Standing, Standing]:
    """Return how the model stands on the file at `source`, audited again if it has changed, and repaired.

    The latter is audited with the settings of the findings and the column of weights that the repair made.
    """
    known = findings.provenance
    if len(known.origins) != 1 or not known.roles or "network" in known.settings:
        what = "the model before and after is compared where one file was audited with a model of the tool's"
        raise DataError(what, "say --no-model")
    _require_weights(known.settings)
    settings = replace(LabelOptions.from_dict(known.settings), verify=0, top=0)
    guessed = origin_encoding(known.origins[0]["format"])  # of other labels another guess may come
    settings = replace(settings, encoding=settings.encoding or guessed or None)
    audited = {str(origin["sha256"]) for origin in known.origins}
    opened = _read([source], settings, on_step)
    if opened.dataset.origins[0].sha256 in audited:
        before, trained = _standing(findings), opened.train(on_step) if test is not None else None
    else:
        again, trained = opened.audit(on_step)
        before = _standing(again)
    if test is not None and trained is not None:
        before = _tested(before, trained, test, settings)
    settings = replace(settings, weight=weight_column or settings.weight)
    again, trained = _read([str(repaired)], settings, on_step).audit(on_step)
    after = _standing(again)
    return before, after if test is None else _tested(after, trained, test, settings)


def _standing(findings: Findings) -> Standing:
    labels = findings.labels
    loss = float(labels.select(pl.col("loo_loss").mean()).item())
    found = Standing(labels.height, loss, findings.provenance.expected_wrong)
    if not findings.provenance.is_number:
        return found
    size = (pl.col("residual") * pl.col("noise")).abs().mean()
    return replace(found, error=float(labels.select(size).item()))


def _tested(standing: Standing, trained: Trained, test: str, settings: LabelOptions) -> Standing:
    """Add the test rows whose class the model knows."""
    from dataaudit.audits.testset import predict, with_numbers  # noqa: PLC0415 - torch

    named = (*settings.features, *settings.text, *settings.categorical)
    dialect = Dialect(settings.encoding, settings.no_header)
    dataset = load(test, target=settings.label, named=named, dialect=dialect)
    if trained.quantity is not None:
        values, at, *_ = with_numbers(dataset.frame[settings.label], trained.quantity)
        mask = np.zeros(dataset.n, dtype=bool)
        mask[at] = True
        tested = predict(trained, dataset.keep(pl.Series(mask)), values)
        size = np.abs(trained.quantity.of_scores(tested.scores[:, 0].numpy()) - values)
        return replace(standing, test_rows=len(values), test_error=float(size.mean()))
    texts = class_texts(dataset.frame[settings.label])
    known = texts.is_in(list(trained.classes)).fill_null(value=False)
    numbers = {name: i for i, name in enumerate(trained.classes)}
    y = np.array([numbers[name] for name in texts.filter(known)], dtype=np.int64)
    tested = predict(trained, dataset.keep(known), y)
    loss, accuracy = float(tested.loss.mean()), float(1 - tested.wrong.mean())
    return replace(standing, test_rows=len(y), test_loss=loss, test_accuracy=accuracy)
