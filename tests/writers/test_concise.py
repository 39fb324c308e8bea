"""One line a finding with its place, as editors and the problem matcher read them."""

import json
import re
from pathlib import Path

from writers.verdict.example import mixed, written

MATCHER = Path(__file__).resolve().parents[2] / "examples" / "ci" / "problem-matcher.json"


def test_every_line_is_read_by_the_problem_matcher():
    pattern = json.loads(MATCHER.read_text(encoding="utf-8"))["problemMatcher"][0]["pattern"][0]
    lines = written("concise", mixed()).splitlines()
    assert lines
    for line in lines:
        found = re.fullmatch(pattern["regexp"], line)
        assert found, line
        assert found[pattern["severity"]] in {"error", "warning", "note"}
        assert int(found[pattern["line"]]) >= 1
    codes = {re.fullmatch(pattern["regexp"], line)[pattern["code"]] for line in lines}
    broken = {o.rule.code for o in mixed().outcomes if o.status in {"broken", "failed"}}
    assert codes == broken


def test_hostile_cells_stay_on_their_line():
    for line in written("concise", mixed()).splitlines():
        assert "\x1b" not in line
        assert "\r" not in line
