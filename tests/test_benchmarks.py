"""The rows that `scale.py` and `peers.py` make, what they measure, and the pictures that they draw; small."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.append(str(Path(__file__).with_name("benchmarks")))  # scripts, which import each other

import peers
import scale

WORDS = ["meeting", "gas", "price", "offer", "free", "pills", "deal", "energy", "click", "contract", "report"]


@pytest.fixture(scope="module")
def mails():
    """Forty mails of two classes, each with words of its own."""
    random = np.random.default_rng(0)
    label = np.array(["ham", "spam"] * 20)
    texts = [
        " ".join(random.choice(WORDS[5 * (name == "spam") :][:6], 40)) + f" {name}{at % 4} {name}{at % 5}"
        for at, name in enumerate(label)
    ]
    return pl.DataFrame({"text": texts, "label": label})


@pytest.fixture
def folder(mails, tmp_path):
    mails.write_parquet(tmp_path / "enron_all.parquet")
    stays = pl.DataFrame(
        {
            "readmitted": np.resize(["NO", "<30", ">30", "NO"], 60),
            "medical_specialty": np.resize(["?", "a", "b", "c", "d", "d"], 60),
            "encounter_id": np.arange(60),
            "drugs": np.arange(60) % 7,
            "age": np.resize(["old", "young"], 60),
        }
    )
    stays.write_parquet(tmp_path / "diabetes130.parquet")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 9), dtype=np.uint8)
    digits = pl.DataFrame(
        {"label": np.arange(60) % 2, "pixels": pixels}, schema_overrides={"label": pl.UInt8}
    )
    digits.write_parquet(tmp_path / "mnist_test.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "rows", "classes"),
    [
        ("mails", 30, 2),
        ("texts", 500, 2),
        ("texts", 50, 4),
        ("table", 300, 2),
        ("table", 90, 3),
        ("table", 80, 4),
        ("digits", 60, 2),
    ],
)
def test_rows_are_as_many_as_asked(folder, kind, rows, classes):
    made = scale.made(kind, rows, classes, 0, words=5, data=folder)
    assert made.frame.height == rows
    assert made.flipped.sum() == rows // 10
    assert made.frame["label"].n_unique() == classes
    again = scale.made(kind, rows, classes, 0, words=5, data=folder)
    assert made.frame.equals(again.frame)


def test_features_are_as_many_as_asked(folder, mails):
    texts = scale.texts(mails, 200, 2, features=4, words=5)["text"]
    assert texts.str.split(" ").explode().filter(texts.str.split(" ").explode() != "").n_unique() <= 4
    made = scale.made("table", 40, 2, 5, words=0, data=folder)
    assert len(made.frame.columns) == 5 + 2


def test_exponents_are_slopes():
    assert scale.exponents([1, 10, 100], [2, 20, 200]) == pytest.approx((1, 1))
    assert scale.exponents([1, 10, 100], [1, 1, 100])[1] == pytest.approx(2)
    assert scale.sizes([1, 2], [0], [2, 5]) == {
        "rows": [(1, 0, 2), (2, 0, 2)],
        "classes": [(1, 0, 2), (1, 0, 5)],
    }
    assert scale.sizes([1], [0], [2]) == {"rows": [(1, 0, 2)]}


def test_a_process_is_measured_or_ended():
    spent = scale.run([sys.executable, "-c", "x = bytearray(2**26)"], 60)
    assert spent.peak > 64
    assert spent.processor > 0
    assert not spent.failed
    assert scale.run([sys.executable, "-c", "while True: pass"], 0.5).failed == "ended after 0.5 s"
    assert scale.run([sys.executable, "-c", "raise SystemExit('no room')"], 60).failed == "no room"


def test_the_command_is_measured(folder, capsys):
    options = peers.arguments(["--data", str(folder), "--", "--verify", "0"])
    (point,) = peers.compare("mails", (40, 0, 2), [peers.OURS], options)
    assert point.precision > 0.1
    assert point.peak > 50
    assert point.features
    assert "average precision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("folds", "mails"),
        ("folds", "table"),
        ("folds", "digits"),
        ("cleanlab", "mails"),
        ("boosting", "table"),
    ],
)
def test_peers_say_how_suspect_each_row_is(name, kind, folder, tmp_path):
    if name == "cleanlab":
        pytest.importorskip("cleanlab", reason="of the extra `bench`")
    made = scale.made(kind, 40, 2, 0, words=5, data=folder)
    made.frame.write_parquet(tmp_path / "rows.parquet")
    peers.peer(name, tmp_path / "rows.parquet", tmp_path / "found.npy")
    found = np.load(tmp_path / "found.npy")
    assert found.shape == (40,)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("draw", [scale.draw, peers.draw], ids=["scale", "peers"])
def test_pictures_are_the_same_each_time(draw, tmp_path):
    points = [
        scale.Point("mails", rows, 5, 2, 1.0, rows / 10, 100.0, 0.5, method)
        for rows in (10, 100)
        for method in (peers.OURS, "folds")
    ]
    draw(points, tmp_path / "all.svg")
    first = (tmp_path / "all.svg").read_bytes()
    assert first.startswith(b"<?xml")
    draw(points, tmp_path / "all.svg")
    assert (tmp_path / "all.svg").read_bytes() == first


def test_what_was_measured_is_kept_once_a_size(tmp_path):
    path = tmp_path / "all.json"
    one = scale.Point("mails", 10, 5, 2, 1.0, 1.0, 100.0, 0.5)
    assert scale.saved(path, [one]) == [one]
    newer = scale.Point("mails", 10, 5, 2, 2.0, 2.0, 100.0, 0.5)
    other = scale.Point("mails", 20, 5, 2, 2.0, 2.0, 100.0, 0.5)
    assert scale.saved(path, [newer, other]) == [newer, other]
    assert len(json.loads(path.read_text())) == 2
    assert scale.saved(None, [one]) == [one]


def test_a_size_that_fails_is_said(folder, capsys):
    options = argparse.Namespace(kind="mails", words=5, data=folder, limit=60.0, passed=["--no-such-option"])
    assert scale.measure((40, 0, 2), options) is None
    assert "no-such-option" in capsys.readouterr().out
