"""Stages of a run in a folder: what is kept, when, and what becomes of it in the next run."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.audits.labels import label_findings
from dataaudit.checkpoint.folder import FOLDER, finish, keeping
from dataaudit.checkpoint.snapshot import read_snapshot, write_snapshot
from dataaudit.data.load import load
from dataaudit.errors import SettingError, WriteError
from dataaudit.files import replace_soon
from dataaudit.options import NOT_KEPT, Checkpoint, LabelOptions
from dataaudit.training.encoded import encode_training, read_labelled
from dataaudit.training.train import train

FRAME = pl.DataFrame({"x": np.random.default_rng(0).normal(size=20), "y": ["a", "b"] * 10})


class Run:
    """Runs with one folder, and what they said."""

    def __init__(self, folder, frame=FRAME, **asked):
        self.said = []
        self.dataset = load(frame, target="y")
        step = lambda stage, *_: self.said.append(stage)  # noqa: E731
        self.options = LabelOptions(label="y", checkpoint=folder, on_step=step, **asked)

    def __call__(self, **stages):
        """Come to each of the stages, and return what was made for it."""
        made = {}
        with keeping(self.options, self.dataset) as options:
            for name, value in stages.items():
                options.kept.once(name, lambda name=name, value=value: made.setdefault(name, value))
        return made


def stages_in(folder):
    return sorted((folder / FOLDER).glob("*/*.stage"))


def test_without_a_folder_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Run(None)(fit=1) == {"fit": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_short_run_writes_nothing(tmp_path):
    assert Run(tmp_path / "out")(encode=1, fit=2) == {"encode": 1, "fit": 2}
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_to_be_resumed_keeps_every_stage(tmp_path):
    first = Run(tmp_path, resume=True)
    assert first(encode=1, fit=2) == {"encode": 1, "fit": 2}
    name = tmp_path.as_posix()
    assert first.said == [f"there is nothing to resume in {name}: the run starts from the beginning"]
    second = Run(tmp_path, resume=True)
    assert second(encode=1, fit=2, check=3) == {"check": 3}
    assert second.said == ["resumed: encode", "resumed: fit"]


def test_without_resume_everything_is_made_again_but_what_there_is_is_said(tmp_path):
    Run(tmp_path, resume=True)(fit=1)
    again = Run(tmp_path)
    assert again(fit=1) == {"fit": 1}
    assert again.said == ["an earlier run like this was stopped: --resume goes on with what it came to"]


@pytest.mark.parametrize(
    ("frame", "asked", "why"),
    [
        (FRAME.with_columns(x=pl.col("x") + 1), {}, "the data are not those of the run that was stopped"),
        (FRAME, {"seed": 3, "l2": 0.1}, "settings differ from those of the run that was stopped (l2, seed)"),
        (
            FRAME,
            {"text_features": "counts"},
            "settings differ from those of the run that was stopped (text_f",
        ),
    ],
)
def test_another_run_starts_anew_and_says_why(frame, asked, why, tmp_path):
    Run(tmp_path, resume=True)(fit=1)
    other = Run(tmp_path, frame, resume=True, **asked)
    assert other(fit=2) == {"fit": 2}
    assert other.said[0].startswith(why)
    assert other.said[0].endswith(": the run starts from the beginning")
    assert Run(tmp_path, resume=True)(fit=1) == {}, "a slip in the settings does not cost what was kept"
    Run(tmp_path, resume=True, seed=9)(fit=1)
    assert len(stages_in(tmp_path)) == 2, "of other runs the last is left"


def test_another_version_starts_anew(tmp_path):
    Run(tmp_path, resume=True)(fit=1)
    [known] = (tmp_path / FOLDER).glob("*/run.json")
    run = json.loads(known.read_text())
    run["libraries"]["numpy"] = "1.0"
    known.write_text(json.dumps(run))
    known.parent.rename(known.parent.with_name("0" * 16))
    other = Run(tmp_path, resume=True)
    assert other(fit=2) == {"fit": 2}
    assert other.said[0].startswith("the run that was stopped had another version of numpy: ")


def test_memory_is_no_reason_to_start_anew(tmp_path):
    Run(tmp_path, resume=True)(fit=1)
    assert Run(tmp_path, resume=True, memory=2**30)(fit=1) == {}


def test_a_damaged_stage_is_made_anew_with_a_word(tmp_path):
    Run(tmp_path, resume=True)(encode=1, fit=2)
    for path in stages_in(tmp_path):
        path.write_bytes(path.read_bytes()[:-3])
    again = Run(tmp_path, resume=True)
    assert again(encode=1, fit=2) == {"encode": 1, "fit": 2}
    assert again.said == [
        "what was kept of encode is damaged, and made anew: cut short",
        "what was kept of fit is damaged, and made anew: cut short",
    ]
    for path in (tmp_path / FOLDER).glob("*/run.json"):
        path.write_text("{")
    assert Run(tmp_path, resume=True, seed=4)(fit=1) == {"fit": 1}


def test_a_part_of_a_stage_is_named_by_the_stage(tmp_path):
    with keeping(Run(tmp_path, resume=True).options, Run(tmp_path).dataset) as options:
        options.kept.below("fit").put("step", 3)
    run = Run(tmp_path, resume=True)
    with keeping(run.options, run.dataset) as options:
        assert options.kept.get("fit") is None
        assert options.kept.below("fit").get("step") == 3
        assert options.kept.below("fit").get("step") == 3
    assert run.said == ["resumed: fit"]


def test_what_is_derived_from_the_options_keeps_nothing(tmp_path):
    with keeping(Run(tmp_path, resume=True).options, Run(tmp_path).dataset) as options:
        assert options.kept is not NOT_KEPT
        assert replace(options, seed=1).kept is NOT_KEPT


def test_one_run_at_a_time_works_towards_a_folder(tmp_path):
    Run(tmp_path, resume=True)(fit=1)
    code = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(); input()"
    lock = tmp_path / FOLDER / "lock"
    with subprocess.Popen([sys.executable, "-c", code, lock], stdin=-1, stdout=-1) as process:
        process.stdout.readline()
        with pytest.raises(WriteError, match=r"another run \(process \d+\) is at work on .*wait for it"):
            Run(tmp_path)(fit=1)
        finish(tmp_path)
        assert stages_in(tmp_path), "what another run keeps is left"
        process.kill()
    assert Run(tmp_path, resume=True)(fit=1) == {}, "a lock ends with its process"


def test_a_full_disk_ends_the_keeping_and_not_the_run(tmp_path):
    Run(tmp_path, resume=True)(encode=1)
    shutil.rmtree(tmp_path / FOLDER)
    (tmp_path / FOLDER).write_text("a file where the folder would be")
    run = Run(tmp_path, resume=True)
    assert run(encode=1, fit=2) == {"encode": 1, "fit": 2}
    assert run.said[1:] == ["the run goes on, but could not be resumed from here: File exists"]


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "one"
    path.write_text("before")

    def stopped(part):
        part.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_soon(path, stopped)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("one", "before")]


def test_findings_that_are_whole_take_the_stages_away(tmp_path):
    Run(tmp_path, resume=True)(fit=1)
    dataaudit.audit_labels(FRAME, label="y", top=0, verify=0).write(tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_resume_needs_a_folder_and_a_model_of_ours(tmp_path):
    with pytest.raises(SettingError, match="resume needs the folder of the run: got none"):
        dataaudit.audit_labels(FRAME, label="y", resume=True)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(FRAME.select("x"), FRAME["y"])
    with pytest.raises(SettingError, match="resume is for models that are trained here"):
        dataaudit.audit_labels(FRAME, label="y", model=model, resume=True, checkpoint=Path(tmp_path))


class Stopped(Exception):
    """As if the process had been killed."""


class Stopping(Checkpoint):
    """Keeps stages in files, and stops the run each time that some more are there."""

    def __init__(self, folder, names, every):
        self.folder, self.names, self.left, self.resumed, self.guard = folder, names, every, set(), Lock()

    def get(self, stage):
        if stage not in self.names:
            return None
        self.resumed.add(stage)
        latest = len(self.names) - 1 - self.names[::-1].index(stage)
        return read_snapshot(self.folder / str(latest), stage)

    def put(self, stage, value):
        assert stage not in self.resumed or stage.endswith(": step"), f"{stage} is made twice"
        with self.guard:
            if not self.left:  # also of threads that outlive the run
                raise Stopped
            write_snapshot(self.folder / str(len(self.names)), stage, value)
            self.names.append(stage)
            self.left -= 1


def audited(source, options, kept):
    asked = options.keeping(kept)
    dataset, target = read_labelled(source, asked)
    trained = train(encode_training(dataset, target, asked), asked)
    return label_findings(dataset, target, trained, settings=asked).tables()


RANDOM = np.random.default_rng(0)
NUMBERS = {f"x{i}": RANDOM.normal(size=160) for i in range(3)}
CLASSES = RANDOM.integers(0, 3, 160)
WORDS = np.array(["alpha beta", "beta gamma", "gamma delta", "delta omega"])
TEXTS = [" ".join(RANDOM.choice(WORDS, 6)) + f" word{i % 9} class{c}" for i, c in enumerate(CLASSES)]


@pytest.mark.parametrize(
    ("columns", "asked"),
    [
        ({**NUMBERS, "y": np.where(NUMBERS["x0"] + RANDOM.normal(size=160) > 0, "a", "b")}, {}),
        ({**NUMBERS, "y": CLASSES.astype(str)}, {"basis": "linear"}),
        ({"t": TEXTS, "y": np.where(CLASSES > 0, "a", "b")}, {"text": "t"}),
        ({**NUMBERS, "y": np.where(NUMBERS["x0"] > 0, "a", "b")}, {"model": "svm"}),
    ],
    ids=["two classes", "three classes", "texts", "machine"],
)
def test_a_run_that_is_stopped_again_and_again_comes_to_the_same_and_does_nothing_twice(
    columns, asked, tmp_path
):
    """Five runs at the least, each killed after a few stages more: 3 s."""
    options = LabelOptions(label="y", top=10, verify=4, **asked)
    whole = audited(columns, options, Checkpoint())
    audited(columns, options, Stopping(tmp_path, counted := [], 10**6))
    every, names, runs, found = max(2, len(counted) // 5), [], 0, None
    while found is None:
        runs += 1
        try:
            found = audited(columns, options, Stopping(tmp_path, names, every))
        except Stopped:
            assert runs < 20
    assert runs > 3
    for name, table in whole.items():
        assert found[name].equals(table), name
