"""Runs of characters: against scikit-learn's, and what texts are read as."""

import numpy as np
import polars as pl
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import average_precision_score

from dataaudit.api.audits import audit_labels
from dataaudit.audits.evidence import Contribution
from dataaudit.features import fit_encoding
from dataaudit.features import text as text_module
from dataaudit.features.text import choose_units, count_terms, document_frequencies, without_overlaps
from dataaudit.options import EncoderOptions

TEXTS = [
    "Hello there,  general! 3.5 %",
    "hello x",
    "",
    None,
    "a",
    "你好 吗👍 abc中文x",
    "名探偵コナンは東京都",
    "École ok ok",
]


@pytest.mark.parametrize("block_bytes", [2**30, 30])
def test_grams_are_those_of_scikit_learn(monkeypatch, block_bytes):
    monkeypatch.setattr(text_module, "_GRAM_BYTES", block_bytes)
    peer = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4))
    expected = peer.fit_transform([text or "" for text in TEXTS]).toarray()
    names = peer.get_feature_names_out().tolist()
    frequencies = document_frequencies(pl.Series(TEXTS), "characters")
    assert sorted(frequencies["term"]) == sorted(names)
    counted = count_terms(pl.Series(TEXTS), frequencies["term"], "characters").toarray()
    place = [names.index(term) for term in frequencies["term"]]
    np.testing.assert_array_equal(counted, expected[:, place])
    np.testing.assert_array_equal(frequencies["rows"], (expected > 0).sum(0)[place])


def test_no_gram_parts_a_character_from_its_marks():
    terms = document_frequencies(pl.Series(["ที่ดี", "👍🏽"]), "mixed")["term"].to_list()
    assert {"ที่", "ดี", " 👍🏽"} <= set(terms)
    assert not {"ที", "👍", " 👍"} & set(terms)


def test_words_stand_with_the_runs_of_scripts_without_spaces():
    terms = document_frequencies(pl.Series(["买 iPhone 15手机 now!", "हिन्दी 👍 x"]), "mixed")[
        "term"
    ].to_list()
    assert {"iphone", "15", "now", "手机", " 买 ", " 👍 ", "हिन्दी"} <= set(terms)
    assert "x" not in terms
    assert document_frequencies(pl.Series(["买手机"]), "words")["term"].to_list() == ["买手机"]


@pytest.mark.parametrize(
    ("texts", "units", "why"),
    [
        (["a cat sat", "the cat ran"] * 20, "words", ""),
        (["我爱北京", "天安门上太阳升"] * 20, "mixed", "runs of 2 to 4 characters: 100% of its letters"),
        (["我爱北京 the cat"] * 20, "mixed", "runs of 2 to 4 characters, and words: 40% of its letters"),
        (["so good 👍" + " and so on" * 20] * 20, "mixed", ""),
        (
            [f"Jon{i} Smi{i}th" for i in range(20)],
            "characters",
            "most texts have no word that another text has",
        ),
        (["alpha", "beta", "gamma"], "words", ""),
        ([None, " "], "words", ""),
    ],
)
def test_units_are_chosen_by_what_the_text_is(texts, units, why):
    chosen, reason = choose_units(pl.Series(texts, dtype=pl.String))
    assert (chosen, bool(reason)) == (units, bool(why))
    assert why in reason


def test_units_are_an_option_and_are_said():
    frame = pl.DataFrame({"y": ["a", "b"] * 10, "city": ["Berlin", "Brelin", "Potsdam", "Postdam"] * 5})
    settings = EncoderOptions(text=("city",), text_units="characters")
    encoding = fit_encoding(frame, "y", settings=settings)
    assert encoding.notes == ("Column 'city' is read as runs of 2 to 4 characters, as you asked.",)
    rows = encoding.transform(frame).terms.toarray()
    assert rows[0] @ rows[1] > rows[0] @ rows[2]


def test_overlapping_runs_are_shown_once():
    given = [("t", " 北"), ("t", "北京"), ("t", "上海"), ("u", "art"), ("u", "party")]
    kept = without_overlaps([Contribution(0, *one, 1.0) for one in given], {"t"}, most=4)
    assert [one.level for one in kept] == [" 北", "上海", "art", "party"]


SCRIPTS = {
    "Chinese": ("价格 手机 便宜 免费 会议 报告 经理 合同 今天 我们 他们 可以 时间 公司 问题 工作", ""),
    "Japanese": ("無料 携帯 安い 当選 会議 報告 部長 契約 今日 私たち 彼ら できる 時間 会社 問題 仕事", ""),
    "Thai": ("ฟรี มือถือ ถูก รางวัล ประชุม รายงาน ผู้จัดการ สัญญา วันนี้ พวกเรา พวกเขา สามารถ เวลา บริษัท ปัญหา งาน", ""),
    "Arabic": ("مجانا هاتف رخيص جائزة اجتماع تقرير مدير عقد اليوم نحن هم يمكن وقت شركة مشكلة عمل", " "),
    "emoji": ("🤑 📱 💸 🎁 📅 📄 📎 ✍️ 🌞 👍🏽 🙂 💪 ⏰ 🏢 ❓ 🔧", ""),
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_wrong_labels_are_found_in_every_script(script):
    words, between = SCRIPTS[script][0].split(), SCRIPTS[script][1]
    rng = np.random.default_rng(0)
    y, flipped = np.arange(200) % 2, rng.permutation(200) < 20
    drawn = [[*rng.choice(words[4 * k : 4 * k + 4], 3), *rng.choice(words[8:], 5)] for k in y]
    texts = [between.join(rng.permutation(one)) for one in drawn]
    frame = pl.DataFrame({"text": texts, "y": np.where(y ^ flipped, "ham", "spam")})
    order = audit_labels(frame, label="y", top=3, verify=0).labels["row"].to_numpy()
    assert average_precision_score(flipped[order], -np.arange(200)) > 0.9
