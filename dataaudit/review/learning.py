"""What decisions teach: an honest count of the wrong labels, and the order of what is left.

The looks that count are the first rows of the sample, as far as they are decided without a gap. A row of
which the reviewer is unsure is no answer: the others stand for it. Every other decided row is known, and
leaves the population. The findings that come back have the same rows, learned probabilities and order;
`first_p_wrong` and `first_rank` keep the first ones, and `reviewed` what was decided, so that learning goes
on with more decisions: a row that is not decided again keeps what was decided on it before.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataaudit.errors import DataError, closest
from dataaudit.escape import shown
from dataaudit.findings.learned import closer, counted, sentences
from dataaudit.findings.levels import by_table
from dataaudit.findings.sample import ROWS, chances, sample_of, scored
from dataaudit.findings.schemas import BUDGET, HEALTH, LEARNED, Findings
from dataaudit.noise import review_budget
from dataaudit.noise.learned import Bin, Looks, count_wrong, learn, teaches
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.review.session import Review

ANSWERS = {"keep": False, "relabel": True, "drop": True}  # action → whether the label was wrong
CALIBRATION = "learned calibration"  # name of the check
_FAR = 2.6  # standard deviations by which a bin may miss: one in 100 does by chance


def learn_from(findings: Findings, decisions: Decisions) -> Findings:
    """Return the findings with the count and the order that the decisions teach, with those before."""
    _check(findings, decisions)
    made = {d.row_id: d for d in (*earlier(findings), *decisions.rows)}
    labels, rows = scored(findings.labels)
    place = {name: at for at, name in enumerate(labels["row_id"].to_list())}
    label = labels["label"].to_list()
    acts = {name: "keep" if d.label == label[place[name]] else d.action for name, d in made.items()}
    answers = {place[name]: ANSWERS[act] for name, act in acts.items() if act in ANSWERS}
    order = sample_of(findings.labels, labels.height, seed=findings.provenance.seed)
    drawn = [place[name] for name in order["row_id"].to_list()]
    sampled = _answered(drawn, answers, unsure={place[name] for name in made} - answers.keys())
    known = sorted(answers.keys() - set(sampled))
    wrong = np.zeros(labels.height, dtype=bool)
    wrong[[at for at, was in answers.items() if was]] = True
    looks = Looks(_positions(sampled), _positions(known), wrong, chances(labels))
    count = count_wrong(rows, looks)
    learned = learn(rows, looks, count)
    decided = looks.decided
    last = np.concatenate([learned.order, decided[wrong[decided]], decided[~wrong[decided]]])
    given = {name: d.label for name, d in made.items() if acts[name] == "relabel"}
    table = labels.with_columns(
        pl.Series("p_wrong", learned.p_wrong),
        first_p_wrong="p_wrong",
        first_rank="rank",
        reviewed=pl.col("row_id").replace_strict(acts, default=None, return_dtype=pl.String),
        reviewed_label=pl.col("row_id").replace_strict(given, default=None, return_dtype=pl.String),
    )[last.tolist()].with_columns(rank=pl.int_range(1, labels.height + 1, dtype=pl.Int64))
    facts: dict[str, Any] = {
        "decisions": len(made),
        "sampled": len(sampled),
        "sampled_wrong": int(wrong[sampled].sum()) if sampled else 0,
        "known": len(known),
        "wrong": int(wrong.sum()),
        "unsure": len(made) - len(answers),
        "foreseen": learned.foreseen,
        "ordered": teaches(looks),
        "calibration": [list(one) for one in learned.calibration],
    }
    if count is not None:
        facts |= {"expected": count.expected, "low": count.low, "high": count.high, "alike": count.alike}
    left = table.filter(pl.col("reviewed").is_null())["p_wrong"].to_numpy()
    provenance = dataclasses.replace(findings.provenance, learned=facts)
    return dataclasses.replace(
        findings,
        labels=table,
        by=by_table(table, findings.levels, findings.by, interval=provenance.count[1:]),
        health=with_calibration(findings.health, learned.calibration),
        budget=pl.DataFrame(review_budget(left), schema=BUDGET, orient="row"),
        provenance=provenance,
    )


def earlier(findings: Findings) -> tuple[Decision, ...]:
    """Return what was decided on the rows of findings that were learned from decisions already."""
    if not LEARNED.keys() <= set(findings.labels.columns):
        return ()
    rows = findings.labels.filter(pl.col("reviewed").is_in([*ANSWERS, "unsure"]))
    made = rows.select("row_id", "reviewed", "reviewed_label").iter_rows()
    return tuple(Decision(row_id=name, action=act, label=label) for name, act, label in made)


def with_calibration(health: pl.DataFrame, bins: Sequence[Bin]) -> pl.DataFrame:
    """Return the checks with that of the learned probabilities, where there are any."""
    others = health.filter(pl.col("check") != CALIBRATION)
    if not bins:
        return others
    # By a bin's own chances, and half a row more: three bins of few rows are no large sample.
    far = [
        max(abs(found - due) - 0.5, 0.0) / max(due * (1.0 - due / n), 0.25) ** 0.5 for n, due, found in bins
    ]
    ok = max(far) <= _FAR
    rows = "; ".join(f"{due:,.1f} of {n:,}, {found:,} were" for n, due, found in bins)
    message = f"By what the other rows of the sample teach, so many of its rows were to be wrong: {rows}."
    if not ok:
        message += (
            " Go by the count, which does not rest on these chances; more looks at the sample improve them."
        )
    check = (CALIBRATION, max(far), _FAR, ok, message)
    return pl.concat([others, pl.DataFrame([check], schema=HEALTH, orient="row")])


def _check(findings: Findings, decisions: Decisions) -> None:
    """Refuse decisions that are not of these findings, or name a class that no row has."""
    run = findings.provenance.run_id
    if decisions.run_id and decisions.run_id != run:
        what = f"the decisions are of run {shown(decisions.run_id)}, these findings are of run {run}"
        raise DataError(what, "name the folder of findings that was reviewed")
    known = findings.provenance
    names, classes = set(findings.labels["row_id"].to_list()), known.classes
    for row in decisions.rows:
        if row.row_id not in names:
            what = f"row {shown(row.row_id)!r} is decided, but it is not in these findings"
            raise DataError(what, "name the folder of findings that was reviewed")
        if row.action == "relabel" and not known.takes(str(row.label)):
            if known.is_number:
                what = f"row {shown(row.row_id)!r} is to be {shown(str(row.label))!r}, which is no number"
                raise DataError(what, "write it with digits and a point, as in 12.5")
            near = closest(str(row.label), classes)
            hint = f"did you mean {near!r}?" if near else f"the classes are {', '.join(map(shown, classes))}"
            raise DataError(f"{shown(str(row.label))!r} is no class of these findings", hint)


def _answered(drawn: Sequence[int], answers: Mapping[int, bool], *, unsure: set[int]) -> list[int]:
    """Return the answered rows among the first of the sample, up to the first that nobody looked at."""
    found = []
    for at in drawn:
        if at in answers:
            found.append(at)
        elif at not in unsure:
            break
    return found


def _positions(rows: Iterable[int]) -> NDArray[np.int64]:
    return np.array(list(rows), dtype=np.int64)


def decisions_of(source: Any, run_id: str) -> Decisions:
    """Read decisions from a frame with row_id, action and label, as Python users have them."""
    columns = [name for name in ("row_id", "action", "label") if name in source.columns]
    if columns[:2] != ["row_id", "action"]:
        raise DataError(
            f"decisions need the columns row_id and action: got {', '.join(map(shown, source.columns))}",
            "action is keep, relabel, drop or unsure; relabel takes a label",
        )
    rows = pl.DataFrame(source).select(columns).rows(named=True) if len(source) else []
    made = tuple(Decision(**{key: value for key, value in row.items() if value is not None}) for row in rows)
    if len({row.row_id for row in made}) < len(made):
        again = next(row.row_id for i, row in enumerate(made) if row.row_id in {r.row_id for r in made[:i]})
        raise DataError(f"row {shown(again)!r} is decided twice", "keep one decision a row")
    return Decisions(made, run_id)


def renewed(review: Review, findings: Findings) -> Review:
    """Return the review with the count so far, and with what is left in the order that is learned."""
    queue = review.queue
    learned = learn_from(findings, Decisions(tuple(review.decisions.values()), queue.run_id))
    review = dataclasses.replace(review, count=f"{counted(learned.provenance)} {closer(learned.provenance)}")
    facts = learned.provenance.learned
    if not facts["ordered"] and "expected" not in facts:
        return review
    places = [queue.places[name] for name in learned.labels["row_id"].to_list()]
    p_wrong = np.empty(len(queue))
    p_wrong[places] = learned.labels["p_wrong"].to_numpy()
    # The chances of decided rows stay as they were thought to be: by them the fit of the list is judged.
    done = [queue.places[name] for name in review.decisions]
    p_wrong[done] = queue.p_wrong[done]
    open_still = queue.overlapping and "expected" not in facts
    queue = dataclasses.replace(queue, p_wrong=p_wrong, learned=True, overlapping=open_still)
    review = dataclasses.replace(review, queue=queue)
    return review.reordered(_positions(places)) if facts["ordered"] else review


def taught(findings: Findings, *, folder: Path, decisions: Path) -> Iterator[str]:
    """Yield what the decisions say, and what to type next."""
    yield from sentences(findings.provenance)
    looks = findings.provenance.learned["sampled"]
    found, made = folder.as_posix(), decisions.as_posix()
    yield "To look at more rows drawn for the count: " + shlex.join(
        ["audit", "review", found, "--sample", str(ROWS if looks < ROWS else 2 * looks), "--decisions", made]
    )
    yield "To go on down the list: " + shlex.join(["audit", "review", found, "--decisions", made])
