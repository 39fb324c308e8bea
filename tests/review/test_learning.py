"""From decisions to findings: the count, the order, and what is refused."""

import dataclasses

import numpy as np
import pandas as pd
import polars as pl
import pytest

import dataaudit
from dataaudit import DataError, SettingError
from dataaudit.findings.schemas import Findings
from dataaudit.repair.decisions import Decision, Decisions, write_decisions
from dataaudit.review.learning import CALIBRATION, earlier, learn_from, renewed, with_calibration
from dataaudit.review.progress import queue_of, stop_hint
from dataaudit.review.session import begin

N, FLIPPED = 600, 90


@pytest.fixture(scope="module")
def case():
    """Return an audit and the names of the rows whose labels are wrong, most of them of one class."""
    random = np.random.default_rng(0)
    x = random.normal(size=(N, 3))
    truth = x[:, 0] + 0.7 * random.normal(size=N) > 0
    wrong = np.zeros(N, dtype=bool)
    wrong[random.choice(np.flatnonzero(truth), FLIPPED, replace=False)] = True
    frame = pl.DataFrame(x, schema=["a", "b", "c"]).with_columns(
        pl.Series("y", np.where(truth ^ wrong, "yes", "no"))
    )
    audit = dataaudit.audit_labels(frame, label="y", verify=0, top=5)
    names = audit.labels.sort("row")["row_id"].to_numpy()
    return audit, set(names[wrong])


def decided(audit, wrong, names):
    """Return the decisions of somebody who knows."""
    label = dict(audit.labels.select("row_id", "label").iter_rows())
    other = {"yes": "no", "no": "yes"}
    return [
        Decision(row_id=name, action="relabel", label=other[label[name]])
        if name in wrong
        else Decision(row_id=name, action="keep")
        for name in names
    ]


def learned(audit, wrong, names):
    run = audit.findings.provenance.run_id
    return learn_from(audit.findings, Decisions(tuple(decided(audit, wrong, names)), run))


def test_a_sample_counts_and_teaches(case):
    audit, wrong = case
    names = audit.sample(100)["row_id"].to_list()
    found = learned(audit, wrong, names)
    assert found.provenance.learned["sampled"] == 100
    expected, low, high = found.provenance.count
    assert low <= FLIPPED <= high
    assert found.labels["p_wrong"].sum() == pytest.approx(expected)
    left = [name for name in found.labels["row_id"] if name not in names]
    before = [name for name in audit.labels["row_id"] if name not in names]
    assert found.labels["row_id"].to_list()[: len(left)] == left
    assert len(wrong & set(left[:60])) > len(wrong & set(before[:60]))


def test_learning_again_with_more_decisions_is_learning_once(case):
    audit, wrong = case
    names = audit.sample(80)["row_id"].to_list()
    once = learned(audit, wrong, names)
    first = dataaudit.api.audits.LabelAudit(learned(audit, wrong, names[:40]))
    run = audit.findings.provenance.run_id
    twice = learn_from(first.findings, Decisions(tuple(decided(audit, wrong, names)), run))
    assert once.labels.equals(twice.labels)
    assert once.provenance == twice.provenance
    assert once.provenance.run_id == run
    assert first.sample(80).equals(audit.sample(80))


def test_findings_and_sample_survive_the_disk(case, tmp_path):
    audit, wrong = case
    names = audit.sample(50)["row_id"].to_list()
    found = learned(audit, wrong, names)
    found.write(tmp_path)
    again = Findings.read(tmp_path)
    assert again.labels.equals(found.labels)
    assert again.provenance.learned == found.provenance.learned
    assert again.sample.equals(audit.findings.sample)
    assert again.sample["row_id"].to_list() == audit.sample(100)["row_id"].to_list()
    (tmp_path / "sample.parquet").unlink()  # as an earlier version left it
    assert Findings.read(tmp_path).sample.is_empty()


def test_only_the_first_rows_of_the_sample_without_a_gap_count(case):
    audit, wrong = case
    names = audit.sample(60)["row_id"].to_list()
    facts = learned(audit, wrong, [*names[:20], *names[30:]]).provenance.learned
    assert (facts["sampled"], facts["known"]) == (20, 30)
    run = audit.findings.provenance.run_id
    some = decided(audit, wrong, names)
    some[10] = Decision(row_id=names[10], action="unsure")
    facts = learn_from(audit.findings, Decisions(tuple(some), run)).provenance.learned
    assert (facts["sampled"], facts["known"], facts["unsure"]) == (59, 0, 1)


def test_without_the_sample_there_is_no_count_and_no_new_order(case):
    audit, wrong = case
    drawn = set(audit.sample(1)["row_id"])
    names = [name for name in audit.labels["row_id"] if name not in drawn][:40]
    found = learned(audit, wrong, names)
    assert "expected" not in found.provenance.learned
    assert found.provenance.count[0] == audit.findings.provenance.expected_wrong
    left = [name for name in audit.labels["row_id"] if name not in names]
    assert found.labels["row_id"].to_list()[: len(left)] == left  # the first rows teach nothing of the others
    assert not found.provenance.learned["ordered"]


@pytest.mark.parametrize("number", [3, 12])
def test_few_decisions_and_equal_ones_leave_the_order(case, number):
    audit, _ = case
    names = audit.sample(number)["row_id"].to_list()
    found = learned(audit, set(), names)
    assert not found.provenance.learned["ordered"]
    assert found.provenance.count[0] == 0
    assert found.provenance.count[2] > 10
    left = [name for name in audit.labels["row_id"] if name not in names]
    assert found.labels["row_id"].to_list()[: len(left)] == left


def test_python_takes_a_frame_or_a_file(case, tmp_path):
    audit, wrong = case
    rows = decided(audit, wrong, audit.sample(40)["row_id"].to_list())
    frame = pl.DataFrame([{"row_id": r.row_id, "action": r.action, "label": r.label} for r in rows])
    write_decisions(tmp_path / "d.csv", Decisions(tuple(rows), audit.findings.provenance.run_id))
    found = [audit.learn(frame), audit.learn(tmp_path / "d.csv"), audit.learn(pd.DataFrame(frame.to_dicts()))]
    assert found[0].labels.equals(found[1].labels)
    assert found[0].labels.equals(found[2].labels)
    assert found[0].interval[0] <= found[0].expected <= found[0].interval[1]
    assert found[0].labels["reviewed"].drop_nulls().len() == 40


def test_bad_decisions_are_refused(case):
    audit, _ = case
    name = audit.labels["row_id"][0]

    def frame(**columns):
        return pl.DataFrame(columns)

    for given, words in [
        (frame(row_id=["nobody"], action=["keep"]), "'nobody' is decided, but it is not in these findings"),
        (frame(row_id=[name, name], action=["keep", "drop"]), "is decided twice"),
        (frame(row_id=[name], action=["relabel"], label=["yess"]), "did you mean 'yes'"),
        (frame(row_id=[name], action=["keeep"]), "did you mean 'keep'"),
        (frame(row=[name]), "need the columns row_id and action"),
    ]:
        with pytest.raises(DataError, match=words):
            audit.learn(given)
    with pytest.raises(DataError, match="of run other"):
        learn_from(audit.findings, Decisions((), "other"))
    with pytest.raises(SettingError, match="1 row at least"):
        audit.sample(0)


def test_a_review_begins_with_the_sample_and_learns_on_the_way(case):
    audit, wrong = case
    queue = queue_of(audit.findings, sample=30)
    names = audit.sample(30)["row_id"].to_list()
    assert [queue.row_ids[at] for at in queue.order[:30]] == names
    review = begin(queue)
    assert review.blind
    review = dataclasses.replace(review, decisions={d.row_id: d for d in decided(audit, wrong, names[:20])})
    again = renewed(review, audit.findings)
    assert "By 20 rows drawn for it, about" in again.count
    assert [again.queue.row_ids[at] for at in again.queue.order[20:30]] == names[20:]
    assert sorted(again.queue.order) == list(range(N))


def test_what_was_learned_before_is_gone_on_with(case):
    audit, wrong = case
    names = audit.sample(60)["row_id"].to_list()
    first = learned(audit, wrong, names[:40])
    rest = decided(audit, wrong, names[40:])
    run = audit.findings.provenance.run_id
    assert learn_from(first, Decisions(tuple(rest), run)).labels.equals(learned(audit, wrong, names).labels)
    made = {d.row_id: d.outcome for d in earlier(first)}
    assert made == {d.row_id: d.outcome for d in decided(audit, wrong, names[:40])}
    other = Decision(row_id=names[0], action="unsure")  # decided anew
    facts = learn_from(first, Decisions((other,), run)).provenance.learned
    assert (facts["decisions"], facts["unsure"], facts["sampled"]) == (40, 1, 39)
    assert earlier(audit.findings) == ()


def test_the_class_that_a_row_has_is_kept(case):
    audit, _ = case
    name, label = audit.labels.select("row_id", "label").row(0)
    made = Decision(row_id=name, action="relabel", label=label)
    found = learn_from(audit.findings, Decisions((made,)))
    row = found.labels.row(by_predicate=pl.col("row_id") == name, named=True)
    assert (row["reviewed"], row["reviewed_label"], row["p_wrong"]) == ("keep", None, 0.0)


def test_learned_chances_are_set_against_the_sample(case):
    audit, wrong = case
    found = learned(audit, wrong, audit.sample(90)["row_id"].to_list())
    bins = found.provenance.learned["calibration"]
    assert [rows for rows, _, _ in bins] == [30, 30, 30]
    assert sum(hit for _, _, hit in bins) == found.provenance.learned["sampled_wrong"]
    assert bins[0][1] <= bins[1][1] <= bins[2][1]
    check = found.health.row(by_predicate=pl.col("check") == CALIBRATION, named=True)
    assert check["ok"]
    assert f"{bins[2][1]:.1f} of 30, {bins[2][2]} were" in check["message"]
    again = learn_from(found, Decisions(()))
    assert again.health.equals(found.health)  # once
    few = learned(audit, wrong, audit.sample(5)["row_id"].to_list())
    assert CALIBRATION not in few.health["check"]


@pytest.mark.parametrize(("bins", "ok"), [([(30, 2.0, 3)], True), ([(30, 2.0, 9)], False)])
def test_chances_that_are_far_off_fail(bins, ok, case):
    audit, _ = case
    health = with_calibration(audit.health, bins)
    assert health["ok"][-1] == ok
    assert ("Go by the count" in health["message"][-1]) != ok


def test_a_review_of_learned_findings_begins_with_what_is_not_decided(case):
    audit, wrong = case
    names = audit.sample(30)["row_id"].to_list()
    found = learned(audit, wrong, names)
    queue = queue_of(found)
    review = begin(queue, earlier(found))
    assert review.row_id == found.labels["row_id"][0]
    assert review.row_id not in names
    assert queue.reviewed == {queue.places[name] for name in names}
    assert review.progress.listed == 0  # looks before say nothing of how far down the new list is
    assert review.progress.left == pytest.approx(
        found.provenance.count[0] - found.provenance.learned["wrong"]
    )
    longer = begin(queue_of(found, sample=40), earlier(found))
    assert longer.row_id == audit.sample(40)["row_id"][30]
    assert longer.blind


def test_the_way_to_stop_speaks_of_what_was_learned(case):
    audit, wrong = case
    names = audit.sample(30)["row_id"].to_list()
    review = begin(queue_of(audit.findings, sample=30))
    looked = {d.row_id: d for d in decided(audit, wrong, names)}
    review = renewed(dataclasses.replace(review, decisions=looked), audit.findings)
    assert "more looks make it about ±" in review.count
    assert review.progress.listed == 0
    assert review.progress.left == pytest.approx(review.queue.p_wrong[review.queue.order[30:]].sum())
    for _ in range(20):
        review = begin(review.queue, tuple(review.decisions.values())).decide("keep")
    said = stop_hint(review.progress)
    assert f"{review.progress.next_expected:.0f} of them in the next 20" in said


def test_a_count_is_in_the_progress_where_all_looks_are_alike(case):
    audit, _ = case
    names = audit.sample(20)["row_id"].to_list()
    review = begin(queue_of(audit.findings, sample=20))
    looked = {d.row_id: d for d in decided(audit, set(), names)}
    review = renewed(dataclasses.replace(review, decisions=looked), audit.findings)
    assert review.progress.left == pytest.approx(0, abs=0.1)
