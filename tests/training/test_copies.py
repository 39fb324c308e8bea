"""Which rows leave together: by a column, as copies, and as both connect; and what is said of it."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import dataaudit
from dataaudit.audits.rerun import rerun_labels
from dataaudit.errors import DataError, MissingColumn, SettingError
from dataaudit.findings.redact import redact
from dataaudit.findings.schemas import GROUPED, LABELS
from dataaudit.influence.groups import group_step
from dataaudit.options import LabelOptions
from dataaudit.report.labels import report
from dataaudit.report.rows import review_row, review_rows
from dataaudit.training.copies import connected
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train
from dataaudit.training.trained import score_rows

QUICK = {"label": "y", "basis": "linear", "l2": 0.02, "verify": 0, "top": 0}


def visits(subjects=40, seed=0):
    """Two to five alike visits of each subject; every eighth subject is wholly mislabelled."""
    random = np.random.default_rng(seed)
    of = np.repeat(np.arange(subjects), random.integers(2, 6, subjects))
    centre = random.standard_normal((subjects, 4))
    x = centre[of] + 0.05 * random.standard_normal((len(of), 4))
    y = (centre.sum(1) > 0)[of] ^ (of % 8 == 0)
    columns = {f"x{j}": x[:, j] for j in range(4)}
    return pl.DataFrame({"who": [f"s{s:02d}" for s in of], **columns, "y": np.where(y, "yes", "no")})


def texts():
    """Thirty texts of seven words, of two subjects."""
    random = np.random.default_rng(1)
    words = {"spam": ["win", "money", "now", "free", "prize", "click", "offer", "cash"]}
    words["ham"] = ["meeting", "agenda", "minutes", "report", "budget", "team", "plan", "review"]
    other = ["the", "of", "and", "to", "in", "is", "was", "for", "on", "with"]
    rows = []
    for i in range(60):
        label = "spam" if i % 2 else "ham"
        said = [*random.choice(words[label], 4), *random.choice(other, 4)]
        rows.append((" ".join(said), label))
    return pl.DataFrame(rows, schema=["t", "y"], orient="row").unique("t", maintain_order=True)


def groups_of(frame, **options):
    settings = LabelOptions(**{**QUICK, **options})
    dataset, target = read_labelled(frame, settings)
    return encode_training(dataset, target, settings)


def parts(groups):
    """The groups of several rows, as a set of sets."""
    number = groups.group
    return {tuple(np.flatnonzero(number == g)) for g in np.unique(number) if (number == g).sum() > 1}


def test_a_column_names_the_groups_and_is_no_feature():
    frame = visits()
    training = groups_of(frame, group="who")
    where = frame.with_row_index().group_by("who").agg("index")["index"].to_list()
    assert parts(training.groups) == {tuple(rows) for rows in where}
    assert "who" not in {feature.column for feature in training.columns.features}
    role = next(role for role in training.encoding.roles if role.column == "who")
    assert (role.role, role.reason) == ("left out", "it names the groups")
    used = groups_of(frame, group="who", categorical=["who"])
    assert "who" in {feature.column for feature in used.columns.features}
    few = groups_of(frame, group="who", features=["x1", "x2"])
    assert parts(few.groups) == parts(training.groups)
    assert parts(groups_of(frame, group="who", exclude=["who"]).groups) == parts(training.groups)


def test_left_out_losses_are_those_of_a_step_without_the_group():
    settings = LabelOptions(**QUICK | {"group": "who"})
    dataset, target = read_labelled(visits(), settings)
    trained = train(encode_training(dataset, target, settings), settings)
    scores, objective = score_rows(trained), trained.objective
    for row in range(0, dataset.n, 9):
        rows = torch.from_numpy(trained.mates(row))
        s = objective.scores(group_step(objective, trained.fit.theta, rows))
        loss = trained.loss(s, objective.rows.y).numpy()
        assert scores.loo_loss[rows] == pytest.approx(loss[rows], abs=1e-8)
    alone = replace(trained, groups=None)
    assert score_rows(alone).relabelled_loss == pytest.approx(scores.relabelled_loss), "a row alone changes"


def test_wrong_subjects_rise_and_the_refits_agree(tmp_path):
    frame = visits(60)
    wrong = set(frame.with_row_index().filter(pl.col("who").str.slice(1).cast(int) % 8 == 0)["index"])
    audits = {
        name: dataaudit.audit_labels(frame, label="y", verify=6, top=5, l2=0.01, basis="rbf", **options)
        for name, options in (("alone", {"exclude": ["who"]}), ("grouped", {"group": "who"}))
    }
    rows = {name: a.labels.filter(pl.col("row").is_in(list(wrong))) for name, a in audits.items()}
    assert rows["grouped"]["loo_loss"].mean() > 1.2 * rows["alone"]["loo_loss"].mean()
    assert (rows["grouped"]["rank"] <= 2 * len(wrong)).mean() > 0.9
    checked = audits["grouped"].findings.verification.filter(change="removed")
    gaps = (checked["predicted"] - checked["measured"]).abs() / checked["measured"].abs()
    assert checked.height == 3
    assert gaps.max() < 0.3
    subject = dict(zip(audits["grouped"].labels["row_id"], audits["grouped"].labels["row"], strict=True))
    assert len({frame["who"][subject[row]] for row in checked["row_id"]}) == 3, "each of another group"


def test_copies_with_one_label_leave_together_and_others_are_told():
    frame = texts()
    extra = pl.concat([frame[[3, 3, 3]], frame[[10]], frame[[20]]])
    flip = pl.Series(["spam", "spam", "spam", "spam" if extra["y"][3] == "ham" else "ham", extra["y"][4]])
    changed = extra["t"].str.to_uppercase() + "!"
    copies = pl.DataFrame({"t": changed, "y": [*extra["y"][:3], flip[3], flip[4]]})
    training = groups_of(pl.concat([frame, copies]), text=["t"])
    n = frame.height
    assert parts(training.groups) == {(3, n, n + 1, n + 2), (20, n + 4)}
    assert {tuple(np.flatnonzero(training.groups.copy == c)) for c in set(training.groups.copy) - {-1}} == {
        (3, n, n + 1, n + 2),
        (10, n + 3),
        (20, n + 4),
    }


def test_rows_that_are_alike_by_chance_are_no_copies():
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {name: random.integers(0, 2, 200) for name in "abc"} | {"y": random.choice(["n", "y"], 200)}
    )
    assert groups_of(frame).groups is None
    numbers = pl.DataFrame(random.standard_normal((60, 8))).with_columns(y=pl.Series(["n", "y"] * 30))
    assert groups_of(numbers).groups is None
    assert parts(groups_of(pl.concat([numbers, numbers[[4, 7]]])).groups) == {(4, 60), (7, 61)}


def test_a_group_is_what_copies_and_names_connect():
    frame = visits().with_columns(x4=pl.Series(np.random.default_rng(3).standard_normal(visits().height)))
    frame = frame.with_columns(**{f"z{j}": frame["x4"] + j * frame["x1"] for j in range(5)})
    first, other = frame.filter(who="s01"), frame.filter(who="s02")
    copy = first[:1].with_columns(who=pl.lit("s02"))
    groups = groups_of(pl.concat([frame, copy]), group="who").groups
    at = pl.concat([frame, copy]).with_row_index().filter(pl.col("who").is_in(["s01", "s02"]))["index"]
    assert len(at) == first.height + other.height + 1
    assert len(set(groups.group[at.to_numpy()])) == 1
    spread = pl.concat([frame, frame.with_columns(who=pl.col("who").shuffle(seed=0))])
    apart = groups_of(spread, group="who")
    assert len(set(apart.groups.group)) == spread["who"].n_unique(), (
        "copies that chain all groups connect none"
    )
    assert any("Copies connect too many groups of one 'who'" in note for note in apart.notes)
    assert connected(5, np.array([0, 0, -1, -1, 1]), np.array([-1, 2, 2, -1, -1])).tolist() == [0, 0, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "options", "error", "said"),
    [
        ({}, {"group": "nobody"}, MissingColumn, "'nobody' is not in"),
        ({}, {"group": "y"}, SettingError, "'y' is both the label and the group"),
        ({}, {"group": "who", "id": "who"}, SettingError, "'who' is both the id and the group"),
        ({}, {"group": "x1", "weight": "x1"}, SettingError, "'x1' is both the weight and the group"),
        ({"who": pl.lit("one")}, {"group": "who"}, DataError, "have the same 'who': nothing would be left"),
        ({"who": pl.concat_list("x1", "x2")}, {"group": "who"}, DataError, "which names no groups"),
    ],
)
def test_a_column_that_names_no_groups_is_refused_in_one_line(change, options, error, said):
    with pytest.raises(error, match=said):
        groups_of(visits().with_columns(**change), **options)


def test_missing_names_and_groups_of_one_row_are_told():
    frame = visits()
    some = frame.with_columns(who=pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("who"))
    training = groups_of(some, group="who")
    assert set(training.groups.group[:3]).isdisjoint(training.groups.group[3:])
    assert len(set(training.groups.group[:3])) == 3
    assert "3 rows have no 'who': each of them leaves training alone." in training.notes
    single = groups_of(frame.with_columns(who=pl.int_range(pl.len())), group="who")
    assert not parts(single.groups)
    assert any("No two rows have the same 'who'" in note for note in single.notes)
    plain = dataaudit.audit_labels(frame, **QUICK, exclude=["who"]).labels
    alone = dataaudit.audit_labels(
        frame.with_columns(who=pl.int_range(pl.len())), **QUICK, group="who"
    ).labels
    assert alone.select(LABELS.names()).equals(plain.select(LABELS.names()))
    whole = groups_of(
        frame.with_columns(who=pl.when(pl.col("y") == "no").then(0).otherwise(pl.int_range(pl.len()))),
        group="who",
    )
    assert any("of one class have the same 'who'" in note for note in whole.notes)


def test_a_column_that_may_name_groups_is_proposed_and_others_are_not():
    mixed = visits().with_columns(y=pl.col("y").shuffle(0))
    assert any("Rows of one 'who' may be alike" in note for note in groups_of(mixed).notes)
    assert not groups_of(visits(), group="who").notes
    few = visits().with_columns(who=pl.Series(["a", "b"] * 400)[: visits().height])
    assert not any("may be alike" in note for note in groups_of(few).notes)


def test_the_report_says_what_left_together_and_the_run_is_made_again(tmp_path):
    frame = texts()
    doubled = pl.concat([frame, frame[[4, 4, 9]].with_columns(y=pl.Series([*frame["y"][[4, 4]], "none"]))])
    doubled = doubled.with_columns(
        y=pl.col("y").replace("none", "ham" if frame["y"][9] == "spam" else "spam")
    )
    doubled = doubled.with_columns(part=pl.Series([f"p{i // 4}" for i in range(doubled.height)]))
    doubled.write_parquet(tmp_path / "t.parquet")
    audit = dataaudit.audit_labels(
        tmp_path / "t.parquet", **QUICK | {"top": 80, "verify": 4}, text="t", group="part"
    )
    said = " ".join(map(str, report(audit.findings).sentences))
    assert "groups, those of one “" in said
    assert "were left out together" in said
    assert "2 rows in 1 set are copies with different labels" in said
    assert "The first copies that carry different labels: " in said
    rows = {row.row_id: " ".join(review_row(row).sentences) for row in review_rows(audit.findings, 80)}
    conflict = audit.labels.filter(pl.col("copy_conflicts") > 0)["row_id"]
    assert all("Its copy carries another label." in rows[row] for row in conflict)
    assert any("other rows of its group" in text for text in rows.values())
    assert audit.write(tmp_path / "found")
    known = json.loads((tmp_path / "found" / "provenance.json").read_text())
    assert known["settings"]["group"] == "part"
    assert rerun_labels(audit.findings, top=3).reproduced
    hidden = " ".join(map(str, report(redact(audit.findings, "all")).sentences))
    assert "2 rows in 1 set of copies carry different labels" in hidden
    assert not any(name in hidden for name in ("t.parquet", "spam", "ham", "part"))
    assert not set(GROUPED) & set(dataaudit.audit_labels(frame, **QUICK, text="t").labels.columns)


def test_a_model_of_ones_own_leaves_groups_out():
    frame = visits()
    model = LogisticRegression(C=0.5, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    model.fit(frame.drop("who", "y"), frame["y"])
    alone = dataaudit.audit_labels(frame.drop("who"), label="y", model=model, verify=2, top=0)
    grouped = dataaudit.audit_labels(frame, label="y", model=model, verify=2, top=0, group="who")
    joined = grouped.labels.join(alone.labels, on="row", suffix="_alone")
    assert (joined["loo_loss"] - joined["loo_loss_alone"]).abs().max() > 0.01
    assert (
        grouped.findings.verification.filter(change="removed")
        .select((1 - pl.col("predicted") / pl.col("measured")).abs().max())
        .item()
        < 0.25
    )
