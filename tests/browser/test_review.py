"""The page in a real browser: finding, sorting, reviewing by keyboard, and taking the decisions away."""

import json
import subprocess
import sys

import polars as pl
import pytest
from writers.example import made_up

from dataaudit.findings.schemas import Findings
from dataaudit.repair.decisions import read_decisions
from dataaudit.report import labels
from dataaudit.writers import html


@pytest.fixture(scope="module")
def findings(mails):
    return Findings.read(mails / "findings")


@pytest.fixture
def report(mails):
    return mails / "findings" / "report.html"


def names(page):
    return page.locator("#list > li:visible .id").all_text_contents()


def test_it_sorts_and_filters(visit, report, findings):
    lines = pl.format("line {}", "line").alias("shown")
    ranked = findings.labels.sort("rank").with_columns(lines)
    with visit(report) as page:
        assert page.locator("#list > li").count() == 300
        page.select_option("#sort", "l")
        first = page.locator("#list .id").first.text_content()
        assert first == ranked.sort("loo_loss", descending=True)["shown"][0]
        page.select_option("#sort", "")
        page.select_option("#label", "spam")
        assert names(page) == ranked.filter(label="spam")["shown"].to_list()
        page.select_option("#label", "")
        page.fill("#find", "prize   the")
        shown, gone = (
            page.locator(f"#list > li{kind}").all_text_contents() for kind in (":visible", "[hidden]")
        )
        assert len(shown) + len(gone) == 300
        assert all("prize" in text and "the" in text for text in shown)
        assert not any("prize" in text and "the" in text for text in gone)
        assert page.locator("#count").text_content() == f"{len(shown)} of 300 rows"


def test_a_review_of_20_rows_by_keyboard_survives_a_reload_and_is_applied(
    visit, report, findings, mails, tmp_path
):
    ranked = findings.labels.sort("rank").head(20)
    with visit(report) as page:
        page.keyboard.press("j")
        for at in range(20):
            assert page.locator("[aria-current]").get_attribute("data-y") == ranked["label"][at]
            page.keyboard.press("x" if at in (3, 7) else "s" if at == 11 else "d" if at == 13 else "a")
        said = page.locator("#progress").text_content()
        assert said.startswith("20 of 300 rows decided · 17 of 19 were wrong (89 %)")
        page.reload()
        assert page.locator("#progress").text_content() == said
        files = {}
        for kind in ("jsonl", "csv"):
            with page.expect_download() as waiting:
                page.click(f"#{kind}")
            files[kind] = tmp_path / waiting.value.suggested_filename
            waiting.value.save_as(files[kind])
        command = page.locator("#apply code").text_content()
    assert files["jsonl"].name == "decisions.jsonl"
    assert read_decisions(files["jsonl"]) == read_decisions(files["csv"])
    decided = {d.row_id: d for d in read_decisions(files["jsonl"]).rows}
    assert list(decided) == ranked["row_id"].to_list()
    fixed = tmp_path / "fixed.csv"
    given = [mails / "findings", files["jsonl"], mails / "mail.csv", "-o", fixed, "--no-model"]
    assert command.startswith(f"audit apply {mails / 'findings'} decisions.jsonl {mails / 'mail.csv'} -o ")
    run = [sys.executable, "-m", "dataaudit", "apply", *map(str, given)]
    assert subprocess.run(run, check=False, capture_output=True).returncode == 0
    after = pl.read_csv(fixed)
    assert len(after) == 299
    before = pl.read_csv(mails / "mail.csv")
    changed = before.join(after, on="id", suffix="_after").filter(pl.col("label") != pl.col("label_after"))
    assert len(changed) == 16


def test_keys_move_choose_and_undo(visit, report, findings):
    ranked = findings.labels.sort("rank")
    with visit(report) as page:
        current = page.locator("[aria-current] .n")
        for keys, row in (("j", "1"), ("jj", "3"), ("k", "2"), ("kkk", "1")):
            for key in keys:
                page.keyboard.press(key)
            assert current.text_content() == row
        assert page.locator("#progress").text_content().startswith("0 of 300 rows decided")
        page.keyboard.press("1" if ranked["label"][0] == "ham" else "2")  # its own label: kept
        assert page.locator("#list .d").first.text_content() == "kept"
        page.keyboard.press("u")
        assert (current.text_content(), page.locator("#list .d").first.text_content()) == ("1", "")
        page.keyboard.press("/")
        page.keyboard.type("axa")
        assert page.locator("#find").input_value() == "axa"
        assert page.locator("#progress").text_content().startswith("0 of 300 rows decided")
        page.fill("#find", "")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        assert page.locator("#help").is_visible()
        page.keyboard.press("a")  # nothing is decided behind the help
        page.uncheck("#keys")
        page.keyboard.press("Escape")
        assert not page.locator("#help").is_visible()
        page.keyboard.press("a")
        assert page.locator("#progress").text_content().startswith("0 of 300 rows decided")


@pytest.mark.parametrize("classes", [tuple("0123456789"), ("1", "3", "5"), ("cat", "cow", "dog")])
def test_digits_give_the_class_that_stands_beside_them(visit, tmp_path, classes):
    findings = made_up(40, classes=classes)
    report = labels.report(findings)
    (tmp_path / "report.html").write_text(html.page(report), encoding="utf-8")
    keys = ["1", "2", "3"] if "cat" in classes else classes
    with visit(tmp_path / "report.html") as page:
        assert page.locator("#bar [data-class] kbd").all_text_contents() == list(keys)
        page.keyboard.press("?")
        told = page.locator("#help tr", has_text="this label").text_content()
        assert "1 cat, 2 cow, 3 dog" in told if "cat" in classes else ", ".join(classes) in told
        page.keyboard.press("Escape")
        page.keyboard.press("j")
        for at, (key, name) in enumerate(zip(keys, classes, strict=True)):
            page.keyboard.press(key)
            said = page.locator("#list .d").nth(at).text_content()
            assert said == ("kept" if findings.labels["label"][at] == name else f"→ {name}")


def test_every_key_has_a_button(visit, report):
    with visit(report) as page:
        page.get_by_role("button", name="Next").click()
        for name, said in (("Accept", "→"), ("Keep", "kept"), ("Unsure", "unsure"), ("Drop", "drop")):
            at = int(page.locator("[aria-current] .n").text_content())
            page.get_by_role("button", name=name).click()
            assert said in page.locator("#list .d").nth(at - 1).text_content()
        page.get_by_role("button", name="ham").last.click()
        assert page.locator("#progress").text_content().startswith("5 of 300")
        for _ in range(5):
            page.get_by_role("button", name="Undo").click()
        assert page.locator("#progress").text_content().startswith("0 of 300")
        assert page.get_by_role("button", name="Undo").is_disabled()


def test_decided_rows_leave_a_list_of_those_to_do(visit, report):
    with visit(report) as page:
        page.select_option("#state", "open")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Next").click()
        for row in ("1", "2", "3"):
            assert page.locator("[aria-current] .n").text_content() == row
            page.get_by_role("button", name="Accept").click()
        assert page.locator("#count").text_content() == "297 of 300 rows"


def test_it_says_when_to_stop(visit, report):
    with visit(report) as page:
        page.get_by_role("button", name="Next").click()
        for _ in range(20):
            page.keyboard.press("x")
        said = page.locator("#stop").text_content()
        assert said.startswith(
            "Of the last 20 rows 0 were wrong. You may stop here. The audit expected about "
        )
        for _ in range(3):
            page.keyboard.press("a")
        assert not page.locator("#stop").is_visible()


def test_decisions_are_loaded_back(visit, report, findings, tmp_path):
    run, first = findings.provenance.run_id, findings.labels["row_id"].head(3).to_list()
    lines = [{"run_id": run}, {"row_id": first[0], "action": "keep", "reviewer": "ada"}]
    lines += [
        {"row_id": first[1], "action": "weight", "weight": 0.5},
        {"row_id": "elsewhere", "action": "drop"},
    ]
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "other.jsonl").write_text(
        json.dumps({"run_id": "0" * 16, "row_id": first[2], "action": "keep"})
    )
    (tmp_path / "mine.csv").write_text(
        f'row_id,action,label,note\r\n{first[2]},relabel,ham,"a ""b"",\r\nc"\r\n'
    )
    (tmp_path / "broken.jsonl").write_text("{")
    with visit(report) as page:
        for name, said in (
            ("mine.jsonl", "3 decisions loaded from mine.jsonl."),
            ("mine.csv", "1 decision loaded from mine.csv."),
            ("other.jsonl", "other.jsonl was not loaded: it is of run 0000000000000000"),
            ("broken.jsonl", "broken.jsonl was not loaded: "),
        ):
            page.set_input_files("#load", tmp_path / name)
            page.wait_for_function(
                "name => document.getElementById('said').textContent.includes(name)", arg=name
            )
            assert page.locator("#said").text_content().startswith(said)
        with page.expect_download() as waiting:
            page.click("#jsonl")
        waiting.value.save_as(tmp_path / "back.jsonl")
    back = {d.row_id: d for d in read_decisions(tmp_path / "back.jsonl").rows}
    assert list(back) == [*first, "elsewhere"]
    assert (back[first[0]].reviewer, back[first[1]].weight) == ("ada", 0.5)
    assert (back[first[2]].label, back[first[2]].note) == ("ham", 'a "b",\r\nc')


def test_it_reads_without_script(visit, report):
    with visit(report, script=False) as page:
        page.locator("#list summary").first.click()
        assert page.locator("#list .t").first.is_visible()
        for part in ("#review", "#bar", "#tools", "#help"):
            assert not page.locator(part).is_visible()


def test_a_page_that_may_keep_nothing_says_so(visit, report, tmp_path):
    frame = tmp_path / "frame.html"
    text = report.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
    frame.write_text(
        f'<!doctype html><meta charset="utf-8"><iframe sandbox="allow-scripts" srcdoc="{text}"></iframe>'
    )
    with visit(frame) as page:
        inner = page.frame_locator("iframe")
        inner.get_by_role("button", name="Next").click()
        inner.get_by_role("button", name="Accept").click()
        assert inner.locator("#progress").text_content().startswith("1 of 300")
        assert "keeps nothing" in inner.locator("#kept").text_content()
        page.wait_for_timeout(100)
