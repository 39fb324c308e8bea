"""Words of evidence in a text: whole words, words with vowel signs, runs of characters."""

import pytest

from dataaudit.report.words import Marker

CASES = {
    "whole words": (["deal"], "a Deal, no dealer", ["Deal"]),
    "a pair parted by anything": (["gas deal"], "gas - deal gasdeal", ["gas - deal"]),
    "vowel signs": (["हिन्दी"], "हिन्दी भाषा", ["हिन्दी"]),
    "Chinese within a sentence": (["北京", " 好"], "我爱北京,好", ["北京", "好"]),
    "Thai": (["กา"], "นกกาบิน", ["กา"]),
    "emoji": (["👍🏽"], "ok👍🏽👍🏽", ["👍🏽", "👍🏽"]),
    "a word stays whole among runs of other scripts": (["art", "艺术"], "party 艺术 art", ["艺术", "art"]),
    "runs of characters of words": ([" smi", "ith"], "Smith", ["Smi"]),
    "nothing": ([], "text", []),
}


@pytest.mark.parametrize("name", CASES)
def test_words_of_evidence_are_found(name):
    terms, text, found = CASES[name]
    spans = Marker([(term, -1.0) for term in terms]).spans(text)
    assert [text[start:stop] for start, stop, _ in spans] == found


def test_the_strongest_of_two_runs_that_look_alike_counts():
    assert [value for *_, value in Marker([(" 好", -2.0), ("好 ", 1.0)]).spans("好")] == [-2.0]
