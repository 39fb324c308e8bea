"""How far a stage is, said from inside it, and how long the rest may take."""

import io
import re
import time
from threading import Thread

import pytest
from rich.console import Console

from dataaudit.cli import progress as shown
from dataaudit.cli.progress import Progress, left
from dataaudit.options.progress import foresee, tick, ticking, within


def test_what_runs_within_a_stage_says_how_far_it_is():
    steps = []
    tick(1, 2)  # nobody hears
    with within(lambda *step: steps.append(step), "fit", done=1, parts=2):
        assert list(ticking("ab")) == ["a", "b"]
        tick(2, 2)  # its end is not for them to say
        other = Thread(target=tick, args=(1, 5))  # nor is it the stage of another thread
        other.start()
        other.join()
    tick(1, 2)
    assert steps == [("fit", 2, 4), ("fit", 3, 4)]


@pytest.mark.parametrize(
    ("took", "share", "expected", "words"),
    [
        (3, 0.0, None, ""),
        (3, 0.0, 10, "7 s left"),
        (12, 0.0, 10, ""),  # longer than thought: nothing is known
        (5, 0.5, 100, "5 s left"),
        (1, 0.1, 5, "6 s left"),  # half by what is done, 9 s, half by what was expected, 4 s
        (300, 0.5, None, "5 min left"),
        (0.1, 0.5, None, "1 s left"),
    ],
)
def test_time_left(took, share, expected, words):
    assert left(took, share, expected) == words


def heard(steps, monkeypatch, terminal=False, **more):
    out = io.StringIO()
    progress = Progress(**more)
    progress.state.console = Console(file=out, width=80, force_terminal=terminal, highlight=False)
    monkeypatch.setattr(shown, "EVERY", 0.05)
    with progress:
        foresee(progress, {"choose": 30.0})
        for stage, done, total, pause in steps:
            progress(stage, done, total)
            time.sleep(pause)
    return out.getvalue()


STEPS = [
    ("choose", 0, 4, 0.0),
    ("choose", 1, 4, 0.1),
    ("choose", 2, 4, 0.1),
    ("choose", 4, 4, 0.0),
    ("influence is estimated", 1, 1, 0.0),
    ("fit", 0, 2, 0.0),
]


def test_without_a_terminal_a_line_now_and_then(monkeypatch):
    said = heard(STEPS, monkeypatch).splitlines()
    assert said == ["choose …", "choose: 2 of 4, 1 s left", "influence is estimated", "fit …"]
    assert heard(STEPS, monkeypatch, quiet=1) == ""


def test_on_a_terminal_a_bar_with_the_time_left(monkeypatch):
    said = heard([("choose", 0, 0, 0.3)], monkeypatch, terminal=True)
    assert "choose" in said
    assert "30 s left" in said
    assert max(map(len, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).replace("\r", "\n").split("\n"))) <= 80
