"""`audit check --redact cells`: no cell of the data leaves in any format, and the verdict is the same."""

import json

import numpy as np
import polars as pl
import pytest

from dataaudit import cli
from dataaudit.gate.facts import fact_tables

FORMATS = ("text", "full", "json", "jsonl", "sarif", "junit", "github", "gitlab", "markdown", "html")
CELLS = ("qlevel", "qconst", "qodd", "31337", "is -9999")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Tables whose findings are about cells: a level, a constant, odd texts, dates, ranges, a stand-in."""
    monkeypatch.chdir(tmp_path)
    for name in ("CI", "GITHUB_ACTIONS", "GITLAB_CI", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    n, random = 300, np.random.default_rng(0)
    numbers = [str(i) for i in range(n - 3)] + ["qodd-1", "qodd-2", "qodd-3"]
    frame = pl.DataFrame(
        {
            "x": random.normal(size=n),
            "place": random.choice(["north", "south"], n),
            "same": ["qconst"] * n,
            "mixed": numbers,
            "when": [f"{1987 + (i % 30)}-01-02" for i in range(n)],
            "level": [-9999.0 if i % 29 == 0 else v for i, v in enumerate(random.normal(size=n))],
            "y": random.choice(["ham", "spam"], n),
        }
    ).with_columns(pl.col("when").str.to_date())
    frame.write_parquet("train.parquet")
    test = frame.head(80).with_columns(
        place=pl.Series(["qlevel"] * 40 + ["north"] * 40),
        x=pl.Series([31337.0] * 20 + [4242.0] * 20 + [0.0] * 40),
    )
    test.write_parquet("test.parquet")
    (tmp_path / "cut.csv").write_text('x,y\n"qconst 31337,ham\n')
    return tmp_path


def _check(*more):
    given = ["check", "train.parquet", "--test", "test.parquet", "--label", "y", "--date", "when"]
    return cli.main([*given, "--select", "DA2,DA3,DA4", "--ignore", "DA304", "--no-cache", "-qq", *more])


def _outputs(*more):
    wanted = [word for name in FORMATS for word in ("--output", f"{name}=out.{name}")]
    return _check(*wanted, *more)


def test_no_cell_is_in_any_format(data):
    code = _outputs()
    told = {name: (data / f"out.{name}").read_text() for name in FORMATS}
    assert all(cell in told["json"] for cell in CELLS)
    assert _outputs("--redact", "cells") == code
    for name in FORMATS:
        kept = (data / f"out.{name}").read_text()
        assert not [cell for cell in (*CELLS, "-01-02") if cell in kept], name
        assert "place" in kept or "place" not in told[name], "names of columns stay"
    before, after = (json.loads(text)["outcomes"] for text in (told["json"], (data / "out.json").read_text()))
    assert [(o["code"], o["status"], o["total"]) for o in before] == [
        (o["code"], o["status"], o["total"]) for o in after
    ]
    prints = [[f["fingerprint"] for o in side for f in o["findings"]] for side in (before, after)]
    assert sorted(prints[0]) == sorted(prints[1])


def test_it_can_be_configured(data):
    (data / "dataaudit.toml").write_text('redact = "cells"\n')
    _check("--output", "json=out.json")
    assert "qlevel" not in (data / "out.json").read_text()
    _check("--output", "json=out.json", "--redact", "none")
    assert "qlevel" in (data / "out.json").read_text()


def test_a_wrong_word_is_told_with_its_place(data, capsys):
    (data / "dataaudit.toml").write_text('redact = "cell"\n')
    assert _check() == 2
    assert "dataaudit.toml:1: redact takes one of none, cells: got 'cell'" in capsys.readouterr().err


def test_what_cannot_be_read_is_told_without_its_words(data, capsys):
    given = ["check", "cut.csv", "--label", "y", "--no-cache", "--redact", "cells"]
    assert cli.main(given) == 2
    said = capsys.readouterr()
    assert "qconst" not in said.out + said.err
    assert "withheld" in said.out


def test_a_wrong_column_name_is_no_cell(data, capsys):
    assert cli.main(["check", "train.parquet", "--label", "yy", "--no-cache", "--redact", "cells"]) == 2
    assert "column 'yy' is not in train.parquet" in capsys.readouterr().out


def test_columns_that_hold_cells_are_columns_of_their_table():
    for table in fact_tables().values():
        assert table.cells <= set(table.schema), table.name
