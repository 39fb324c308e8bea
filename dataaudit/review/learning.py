"""What decisions teach: an honest count of the wrong labels, and the order of what is left.

The looks that count are the first rows of the sample, as far as they are decided without a gap. A row of
which the reviewer is unsure is no answer: the others stand for it. Every other decided row is known, and
leaves the population. The findings that come back have the same rows, learned probabilities and order;
`first_p_wrong` and `first_rank` keep the first ones, so that learning can be repeated with more decisions.
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
from dataaudit.findings.levels import by_table
from dataaudit.findings.sample import FIRST_P_WRONG, FIRST_RANK, ROWS, chances, sample_of, scored
from dataaudit.findings.schemas import BUDGET, Findings, Provenance
from dataaudit.noise import review_budget
from dataaudit.noise.learned import FEWEST_LOOKS, Looks, count_wrong, learn, teaches
from dataaudit.repair.decisions import Decision, Decisions
from dataaudit.review.session import Review

ANSWERS = {"keep": False, "relabel": True, "drop": True}  # action → whether the label was wrong


def learn_from(findings: Findings, decisions: Decisions) -> Findings:
    """Return the findings with the count and the order that the decisions teach."""
    _check(findings, decisions)
    labels, rows = scored(findings.labels)
    place = {name: at for at, name in enumerate(labels["row_id"].to_list())}
    label = labels["label"].to_list()
    answers = {
        place[d.row_id]: ANSWERS[d.action] and d.label != label[place[d.row_id]]
        for d in decisions.rows
        if d.action in ANSWERS
    }
    order = sample_of(findings.labels, labels.height, seed=findings.provenance.seed)
    drawn = [place[name] for name in order["row_id"].to_list()]
    sampled = _answered(drawn, answers, unsure={place[d.row_id] for d in decisions.rows} - answers.keys())
    known = sorted(answers.keys() - set(sampled))
    wrong = np.zeros(labels.height, dtype=bool)
    wrong[[at for at, was in answers.items() if was]] = True
    looks = Looks(_positions(sampled), _positions(known), wrong, chances(labels))
    count = count_wrong(rows, looks)
    learned = learn(rows, looks, count)
    decided = looks.decided
    last = np.concatenate([learned.order, decided[wrong[decided]], decided[~wrong[decided]]])
    acts = {d.row_id: d.action for d in decisions.rows}
    table = labels.with_columns(
        pl.Series("p_wrong", learned.p_wrong),
        pl.col("p_wrong").alias(FIRST_P_WRONG),
        pl.col("rank").alias(FIRST_RANK),
        pl.col("row_id").replace_strict(acts, default=None, return_dtype=pl.String).alias("reviewed"),
    )[last.tolist()].with_columns(rank=pl.int_range(1, labels.height + 1, dtype=pl.Int64))
    facts = {
        "decisions": len(decisions.rows),
        "sampled": len(sampled),
        "sampled_wrong": int(wrong[sampled].sum()) if sampled else 0,
        "known": len(known),
        "wrong": int(wrong.sum()),
        "unsure": len(decisions.rows) - len(answers),
        "foreseen": learned.foreseen,
        "ordered": teaches(looks),
    }
    if count is not None:
        facts |= {"expected": count.expected, "low": count.low, "high": count.high, "alike": count.alike}
    left = table.filter(pl.col("reviewed").is_null())["p_wrong"].to_numpy()
    provenance = dataclasses.replace(findings.provenance, learned=facts)
    return dataclasses.replace(
        findings,
        labels=table,
        by=by_table(table, findings.levels, findings.by, interval=provenance.count[1:]),
        budget=pl.DataFrame(review_budget(left), schema=BUDGET, orient="row"),
        provenance=provenance,
    )


def _check(findings: Findings, decisions: Decisions) -> None:
    """Refuse decisions that are not of these findings, or name a class that no row has."""
    run = findings.provenance.run_id
    if decisions.run_id and decisions.run_id != run:
        what = f"the decisions are of run {shown(decisions.run_id)}, these findings are of run {run}"
        raise DataError(what, "name the folder of findings that was reviewed")
    names, classes = set(findings.labels["row_id"].to_list()), findings.provenance.classes
    for row in decisions.rows:
        if row.row_id not in names:
            what = f"row {shown(row.row_id)!r} is decided, but it is not in these findings"
            raise DataError(what, "name the folder of findings that was reviewed")
        if row.action == "relabel" and row.label not in classes:
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
    review = dataclasses.replace(review, count=counted(learned.provenance))
    if not learned.provenance.learned["ordered"]:
        return review
    places = [queue.places[name] for name in learned.labels["row_id"].to_list()]
    p_wrong = np.empty(len(queue))
    p_wrong[places] = learned.labels["p_wrong"].to_numpy()
    # The chances of decided rows stay as they were thought to be: by them the fit of the list is judged.
    done = [queue.places[name] for name in review.decisions]
    p_wrong[done] = queue.p_wrong[done]
    return review.reordered(p_wrong, queue.suggested, order=_positions(places))


def counted(provenance: Provenance) -> str:
    """Say how many labels are wrong by the rows of the sample; empty where none of them was looked at."""
    learned, n = provenance.learned, provenance.n_rows
    if "expected" not in learned:
        return ""
    looks = f"{learned['sampled']:,} rows drawn for it"
    found = f"By {looks}, about {learned['expected']:,.0f} of {n:,} labels are wrong"
    return f"{found}: {learned['low']:,.0f} to {learned['high']:,.0f} with 90 % confidence."


def taught(findings: Findings, *, folder: Path, decisions: Path) -> Iterator[str]:
    """Yield what the decisions say, and what to type next."""
    p = findings.provenance
    learned = p.learned
    looked = learned["sampled"] + learned["known"]
    yield f"{looked:,} rows were looked at, {learned['wrong']:,} of their labels were wrong."
    if learned["unsure"]:
        yield f"{learned['unsure']:,} more decisions say nothing about the label."
    count = counted(p)
    if count:
        yield count
        left = max(learned["expected"] - learned["wrong"], 0.0)
        yield f"About {left:,.0f} wrong labels are expected among the rows that nobody looked at."
    else:
        yield "No row of the sample was looked at first, so the number of wrong labels is not known."
    if learned["ordered"]:
        yield "The list is in the order that was learned."
        foreseen = f"{learned['foreseen']:,.0f} of the rows looked at were to be wrong"
        yield f"By what the others of them teach, {foreseen}; {learned['wrong']:,.0f} were."
    else:
        why = f"fewer than {FEWEST_LOOKS}" if learned["sampled"] < FEWEST_LOOKS else "all alike"
        yield f"The order of the list stays as it was: looks at the sample are {why}."
    rows = ROWS if learned["sampled"] < ROWS else 2 * learned["sampled"]
    found, made = folder.as_posix(), decisions.as_posix()
    yield "To look at more rows drawn for the count: " + shlex.join(
        ["audit", "review", found, "--sample", str(rows), "--decisions", made]
    )
    yield "To go on down the list: " + shlex.join(["audit", "review", found, "--decisions", made])
