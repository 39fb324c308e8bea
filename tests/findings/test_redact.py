"""What a policy withholds is in no output of any writer; what it does not withhold still is."""

import dataclasses
import io
import re
import shlex
from functools import cache

import numpy as np
import polars as pl
import pytest

import dataaudit
from dataaudit.errors import SettingError
from dataaudit.findings.redact import (
    FOLDER,
    WITHHELD,
    Names,
    StandIns,
    command,
    level_of,
    redact,
    remember,
    shown_folder,
    withheld,
)
from dataaudit.findings.schemas import ExplanationFindings, Findings, MismatchFindings, read_findings
from dataaudit.report import shown
from dataaudit.writers import get, html, names
from dataaudit.writers.exports import WRITERS, label_studio_setup

CELLS = {"zqword", "zqlevel", "987654.5"}
NAMES = {"zqlabel", "zqrow", "zqcolumn", "zqfile", "zqfolder"}
OURS = dict.fromkeys(
    ("check", "change", "severity", "kind", "measure", "fix", "cause", "basis", "model", "scope"), "ours"
)
OURS["part"] = "train"
KINDS = ("labels", "mismatch", "explanation")


def table(n, seed, *, children):
    """Texts, levels, a number and labels, each with a secret in it; few children whose labels decide much."""
    random = np.random.default_rng(seed)
    words = np.array(["gas", "deal", "offer", "click", "free", "zqword"])
    age = np.array([f"zqlevel{name}" for name in ("child", "old", "middle")])
    which = np.where(np.arange(n) < children, 0, random.integers(1, 3, n))
    number = np.where(random.random(n) < 0.4, 987654.5, random.normal(size=n))
    text = [" ".join(random.choice(words, 6)) for _ in range(n)]
    child = np.full(n, seed == 0)
    wrong = np.where(which == 0, child, (random.random(n) < 0.2) ^ np.array(["click" in one for one in text]))
    return pl.DataFrame(
        {
            "zqcolumn-id": [f"zqrow{seed}-{k}" for k in range(n)],
            "zqcolumn-text": text,
            "zqcolumn-age": age[which],
            "zqcolumn-number": number,
            "zqcolumn-y": np.where(wrong, "zqlabel-ill", "zqlabel-well"),
        }
    )


@cache
def audited(kind, folder):
    """Audit files whose names, cells, labels and columns are secrets."""
    train, test = (folder / f"zqfile-{name}.csv" for name in ("train", "test"))
    table(400, 0, children=5).write_csv(train)
    table(500, 1, children=40).write_csv(test)
    options = {
        "label": "zqcolumn-y",
        "id": "zqcolumn-id",
        "text": "zqcolumn-text",
        "l2": 1e-4,
    }
    command = f"audit {kind} {train} --label zqcolumn-y"
    if kind == "labels":
        return dataaudit.audit_labels(train, verify=4, top=20, command=command, **options)
    if kind == "mismatch":
        where = "\"zqcolumn-age\" = 'zqlevelchild'"
        said = f"{command} --where {shlex.quote(where)}"
        return dataaudit.audit_mismatch(train, test, where=where, prove=2, command=said, **options)
    flip = "slice:zqcolumn-age=zqlevelchild"
    return dataaudit.explain(train, test, row=3, flip=flip, command=f"{command} --flip={flip}", **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("zqfolder")


def tables_of(kind, folder):
    return audited(kind, folder).tables


def outputs(kind, folder, policy):
    """Return every output there is of findings, by name."""
    found = tables_of(kind, folder)
    tables, report = shown(found, policy, folder=str(folder / "out"))
    exports = WRITERS.values() if kind == "labels" else ()
    writers = [get(name, kind) for name in names(kind)] + list(exports)
    texts = {}
    for writer in writers:
        out = io.StringIO()
        writer.write(tables, report, out)
        texts[writer.name] = out.getvalue()
    texts["notebook"] = html.notebook(remember(found, policy))
    texts["page"] = html.write_report(remember(found, policy), folder / "report.html").read_text("utf-8")
    if kind == "labels":
        texts["setup"] = label_studio_setup(tables)
    return texts


def secrets_in(text):
    return {secret for secret in CELLS | NAMES if secret in re.sub(r"[\s\\]", "", text).lower()}


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_policy_the_secrets_are_told(kind, folder):
    """Or the tests below could not fail."""
    texts = outputs(kind, folder, "none")
    assert secrets_in(texts["json"]) == CELLS | NAMES
    assert secrets_in(texts["page"]) == CELLS | NAMES
    assert secrets_in(texts["markdown"]) >= NAMES | {"zqlevel" if kind == "mismatch" else "zqword"}


@pytest.mark.parametrize("kind", KINDS)
def test_cells_withholds_cells_and_tells_names(kind, folder):
    texts = outputs(kind, folder, "cells")
    assert {name: secrets_in(text) & CELLS for name, text in texts.items()} == {name: set() for name in texts}
    assert secrets_in(texts["json"]) == NAMES
    assert secrets_in(texts["page"]) == NAMES
    assert {"zqlabel", "zqrow"} <= secrets_in(texts["text"]) or kind == "mismatch"


@pytest.mark.parametrize("kind", KINDS)
def test_all_withholds_every_secret(kind, folder):
    texts = outputs(kind, folder, "all")
    assert {name: secrets_in(text) for name, text in texts.items()} == {name: set() for name in texts}
    assert "zq" not in "".join(texts.values()).lower()
    assert "class 1" in texts["page"]
    assert re.search(r"#\d+", texts["text"]) or kind == "mismatch"


@pytest.mark.parametrize("kind", KINDS)
def test_tables_keep_their_rows_and_numbers(kind, folder):
    found = tables_of(kind, folder)
    for policy in ("cells", "all"):
        shown = redact(found, policy)
        assert type(shown) is type(found)
        for name, frame in found.tables().items():
            if name != "cells":
                numbers = [c for c, t in shown.tables()[name].schema.items() if t.is_numeric()]
                assert shown.tables()[name].select(numbers).equals(frame.select(numbers)), name
        for name in ("train_row_id", "row_id"):
            for table_, frame in found.tables().items():
                if name in frame.columns and table_ != "cells":
                    assert shown.tables()[table_][name].n_unique() == frame[name].n_unique()
    assert redact(found, "none") is found


@pytest.mark.parametrize("kind", [Findings, MismatchFindings, ExplanationFindings])
def test_a_column_that_nobody_thought_of_is_withheld(kind):
    """Every text column of every table is filled with secrets: a new one needs a thought."""
    secret = {
        name: pl.DataFrame({c: [OURS.get(c, _secret(t))] for c, t in schema.items()}, schema=schema)
        for name, schema in kind.SCHEMAS.items()
    }
    if kind is Findings:
        secret["labels"] = secret["labels"].with_columns(pl.col("rank") * 0 + 1)
    facts = {f.name: _fact(str(f.type)) for f in dataclasses.fields(kind.RECORD) if f.name != "run"}
    ours = ("version", "ranking", "ranking_reason", "model", "basis", "solver", "solver_reason")
    record = kind.RECORD(**facts | {name: "ours" for name in ours if name in facts})
    shown = redact(kind(**secret, provenance=record), "all")
    for name, frame in shown.tables().items():
        kept = [c for c in frame.columns if "SECRET" in str(frame[c].to_list())]
        assert kept == [], name
    assert "SECRET" not in shown.provenance.to_json()


def _secret(dtype):
    made = {pl.String: "SECRET", pl.Int64: 1, pl.Float64: 0.5, pl.Boolean: True}
    return made.get(type(dtype), ["SECRET"])


def _fact(annotation):
    if annotation.startswith("tuple[Mapping"):
        keys = ("column", "role", "reason", "path", "format", "sha256")
        return ({key: "SECRET" if key not in ("role", "format") else "x" for key in keys} | {"rows": 1},)
    if annotation.startswith("tuple"):
        return ("SECRET",)
    if annotation.startswith("Mapping[str, str]"):
        return {"python": "3"}
    if annotation.startswith("Mapping"):
        return {
            "source": ["SECRET"],
            "columns": {"text": "SECRET"},
            "where": "SECRET",
            "conclusion": "SECRET",
        }
    return {"int": 1, "float": 0.5}.get(annotation, "SECRET")


def test_the_run_keeps_its_id_so_that_decisions_fit(folder):
    found = tables_of("labels", folder)
    for policy in ("cells", "all"):
        assert shown(found, policy)[1].provenance["run_id"] == found.provenance.run_id


def test_a_folder_remembers_what_its_page_withholds(folder, tmp_path):
    audited("labels", folder).write(tmp_path, redact="all")
    back = read_findings(tmp_path)
    assert level_of(back) == "all"
    assert back.labels.equals(tables_of("labels", folder).labels)  # the tables are whole
    assert "zq" not in (tmp_path / "report.html").read_text(encoding="utf-8").lower()
    html.write_report(back, tmp_path / "report.html")  # as audit verify does
    assert "zq" not in (tmp_path / "report.html").read_text(encoding="utf-8").lower()
    assert level_of(tables_of("labels", folder)) == "none"


def test_a_policy_that_is_not_understood_withholds_all(folder):
    found = tables_of("labels", folder)
    settings = {**found.provenance.settings, "redact": "half"}
    odd = dataclasses.replace(found, provenance=dataclasses.replace(found.provenance, settings=settings))
    assert level_of(odd) == "all"
    with pytest.raises(SettingError, match="did you mean 'cells'"):
        shown(found, "cell")


def test_commands_lose_what_they_say_of_cells():
    assert command("audit mismatch a.csv b.csv --label y") == "audit mismatch a.csv b.csv --label y"
    said = command("audit mismatch a.csv --where \"age = '5'\" --out x --flip=slice:age=5")
    assert said == f"audit mismatch a.csv --where '{WITHHELD}' --out x '--flip={WITHHELD}'"
    assert command("audit labels it's.csv --where x") == WITHHELD


def test_levels_are_numbered_within_their_column(folder):
    stand_ins = StandIns(tables_of("labels", folder), "cells")
    assert stand_ins.of_level("age", "(missing)") == "(missing)"
    numbered = [stand_ins.of_level("age", name) for name in ("old", "young", "old")]
    assert numbered == ["(level 1)", "(level 2)", "(level 1)"]


def test_redacted_findings_say_so_and_whole_ones_do_not(folder):
    found = remember(tables_of("labels", folder), "all")
    assert withheld(found) == withheld(redact(found, "none")) == ""
    assert "names of rows" in withheld(redact(found))
    assert "names" not in withheld(redact(found, "cells"))
    assert [shown_folder(one, "here") for one in (found, redact(found))] == ["here", FOLDER]
    assert shown_folder(redact(found), "") == ""


def test_the_folder_of_a_command_is_withheld(folder):
    report = shown(tables_of("labels", folder), "all", folder="zqfolder")[1]
    assert [typed for _, typed in report.commands] == [f"{FOLDER}/report.html"]


def test_stand_ins_stay_apart():
    names_ = Names("class {}")
    names_.settle("a", "class 2")
    names_.settle("b", "class 2")
    assert [names_[name] for name in ("a", "b", "c", "c")] == ["class 2", "class 2 (2)", "class 3", "class 3"]
