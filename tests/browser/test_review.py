"""The page in a real browser: finding, sorting, reviewing by keyboard, and taking the decisions away."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from scipy import stats
from writers.example import made_up

from dataaudit.findings.learned import counted
from dataaudit.findings.redact import remember
from dataaudit.findings.sample import chances, sample_of, scored
from dataaudit.findings.schemas import Findings
from dataaudit.noise.learned import Looks, count_wrong
from dataaudit.repair.decisions import Decision, Decisions, read_decisions
from dataaudit.report import labels
from dataaudit.review.learning import learn_from
from dataaudit.writers import html
from dataaudit.writers.html import write_report


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


def reference(rows, sums, wrong, looks):
    """Return the count of the page and its 90 % interval, by the first rows of the sample."""
    chance, x = rows[:, 0], np.hstack([np.ones((len(rows), 1)), rows[:, 1:]])
    x, pi, fold = x[:looks], looks * chance[:looks], np.arange(looks) % 5
    total, missed = 0.0, np.empty(looks)
    for k in range(5):
        others = fold != k
        penalty = np.diag([1e-3, 1.0, 1.0])
        beta = np.linalg.solve(x[others].T @ x[others] + penalty, x[others].T @ wrong[:looks][others])
        total += sums @ beta / 5
        missed[~others] = (wrong[:looks] - x @ beta)[~others] / pi[~others]
    expected = total + missed.sum()
    half = stats.t.ppf(0.95, looks - 5) * float(((1 - pi) * missed**2).sum()) ** 0.5
    return expected, max(expected - half, wrong[:looks].sum()), expected + half


WRONG = (0, 4, 7, 13, 18)  # of the sample


def test_rows_drawn_for_the_count_are_looked_at_without_being_led(visit, report, findings, tmp_path):
    names = findings.sample["row_id"].to_list()
    label = dict(findings.labels.select("row_id", "label").iter_rows())
    other = {"ham": "spam", "spam": "ham"}
    wrong = np.array([at in WRONG for at in range(60)])
    with visit(report) as page:
        assert page.locator("#sample > li").count() == 60
        page.get_by_role("button", name="Begin").click()
        for at in range(20):
            item = page.locator("#sample [aria-current]")
            assert item.locator("summary .ch").text_content() == label[names[at]]
            shown = item.inner_text() + page.locator("#bar").inner_text()
            assert "→" not in shown.replace(page.locator("#said").inner_text(), "")
            assert "likely wrong" not in shown
            assert item.locator("mark, em, dt").count() == 0
            if at == 2:
                page.keyboard.press("a")
                assert "press v to see more" in page.locator("#said").text_content()
                page.keyboard.press("v")
                assert "likely wrong" in item.inner_text()
                assert page.locator("#accept").is_visible()
            right = label[names[at]] if not wrong[at] else other[label[names[at]]]
            page.keyboard.press("1" if right == "ham" else "2")
            assert ("By 10 rows" in page.locator("#said").text_content()) == (at == 9)
        said = page.locator("#counted").text_content()
        assert page.locator("#said").text_content().endswith(said)
        values = json.loads(page.locator("#review-data").text_content())
        page.reload()  # it goes on where it was
        assert page.locator("#counted").text_content() == said
        assert page.locator("#looked").text_content() == "20 of 60 rows looked at."
        page.get_by_role("button", name="Go on").click()
        assert page.locator("#sample [aria-current] .n").text_content() == "21"
        page.keyboard.press("u")
        assert "By 10 rows" in page.locator("#counted").text_content()
        page.keyboard.press("2" if label[names[19]] == "spam" else "1")
        with page.expect_download() as waiting:
            page.locator("#looks").get_by_role("button", name="Download decisions").click()
        waiting.value.save_as(tmp_path / "decisions.jsonl")
        assert page.locator("#stop").is_hidden()  # looks at a sample do not say how far down a list is
    found = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", said)[1:5]]
    rows = np.array([row[4:] for row in values["sample"]["rows"]])
    expected = reference(rows, np.array(values["sample"]["sums"]), wrong.astype(float), 20)
    assert found == pytest.approx([expected[0], 300, *expected[1:]], abs=0.51)
    assert values["sample"]["sums"][1] == pytest.approx(findings.labels["p_wrong"].sum())
    decisions = read_decisions(tmp_path / "decisions.jsonl")
    learned = learn_from(findings, decisions)
    assert learned.provenance.learned["sampled"] == 20
    assert learned.provenance.learned["sampled_wrong"] == 5
    total, low, high = learned.provenance.count
    assert max(low, found[2]) < min(high, found[3])  # both count the same rows
    assert abs(total - found[0]) < (high - low) / 4


def test_another_browser_goes_on_from_what_was_learned(visit, findings, tmp_path):
    names = findings.sample["row_id"].head(20).to_list()
    acts = ["drop" if at in WRONG else "keep" for at in range(20)]
    made = tuple(Decision(row_id=name, action=act) for name, act in zip(names, acts, strict=True))
    learned = learn_from(findings, Decisions(made, findings.provenance.run_id))
    page_again = write_report(learned, tmp_path / "report.html")
    with visit(page_again) as page:  # it has kept nothing
        assert page.locator("#looked").text_content() == "20 of 60 rows looked at."
        assert page.locator("#counted").text_content() == counted(learned.provenance)
        left = round(learned.provenance.count[0] - 5)
        assert (
            f"about {left} wrong labels expected among the rest" in page.locator("#progress").text_content()
        )
        page.get_by_role("button", name="Go on").click()
        page.keyboard.press("s")
        with page.expect_download() as waiting:
            page.click("#jsonl")
        waiting.value.save_as(tmp_path / "more.jsonl")
    more = {d.row_id: d.outcome for d in read_decisions(tmp_path / "more.jsonl").rows}
    assert len(more) == 21
    assert more.items() >= {d.row_id: d.outcome for d in made}.items()


def test_equal_looks_are_counted_and_small_tables_have_no_chance_above_one(visit, tmp_path):
    findings = made_up(30)
    findings = dataclasses.replace(findings, sample=sample_of(findings.labels, 30, seed=0))
    (tmp_path / "report.html").write_text(html.page(labels.report(findings)), encoding="utf-8")
    with visit(tmp_path / "report.html") as page:
        page.click("#begin")
        for _ in range(20):
            page.keyboard.press("x")
        said = page.locator("#counted").text_content()
        for _ in range(10):
            page.keyboard.press("x")
        done = page.locator("#counted").text_content()
        assert page.locator("#begin").is_disabled()
    _, rows = scored(findings.labels)
    at = [findings.labels["row_id"].to_list().index(name) for name in findings.sample["row_id"][:20]]
    none = np.zeros(30, dtype=bool)
    looks = Looks(np.array(at), np.empty(0, dtype=np.int64), none, chances(findings.labels))
    high = count_wrong(rows, looks).high
    assert f"about 0 of 30 labels are wrong: 0 to {high:.0f} with" in said
    assert "By 30 rows drawn for it, about 0 of 30 labels" in done


def test_the_sample_reads_without_script_and_not_where_all_is_withheld(visit, report, findings, tmp_path):
    with visit(report, script=False) as page:
        page.locator("#sample summary").first.click()
        assert page.locator("#sample .t").first.is_visible()
        assert not page.locator("#sample").get_by_text("likely wrong").first.is_visible()
        assert not page.locator("#looks").is_visible()
    write_report(remember(findings, "all"), tmp_path / "report.html")
    assert 'id="sample"' not in (tmp_path / "report.html").read_text("utf-8")
    write_report(remember(findings, "cells"), tmp_path / "report.html")
    with visit(tmp_path / "report.html") as page:
        assert page.locator("#sample > li").count() == 60
        assert page.locator("#sample .t").count() == 0
