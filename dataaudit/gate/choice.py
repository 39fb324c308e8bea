"""Which rules hold for a dataset, with the limits and severities in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from dataaudit.errors import SettingError, closest
from dataaudit.gate.rule import Rule
from dataaudit.gate.settings import CheckSettings, DatasetSettings

Value = TypeVar("Value")


def chosen(rules: Sequence[Rule], settings: CheckSettings, dataset: DatasetSettings) -> tuple[Rule, ...]:
    """Return the rules that a dataset is held to, by code.

    A rule is meant by its code, the beginning of it, or its name. What is ignored wins; without a selection
    all stable rules hold.

    Parameters
    ----------
    rules : sequence of Rule
        All that there are.
    settings : CheckSettings
        What holds for all datasets.
    dataset : DatasetSettings
        What holds for this one; it goes first.

    Returns
    -------
    tuple of Rule
        With the limits and severities in force.

    Raises
    ------
    SettingError
        If something that is named means no rule, or nothing is left.
    """
    select, ignore = dataset.select or settings.select, (*settings.ignore, *dataset.ignore)
    limits = _by_code(rules, {**settings.limits, **dataset.limits}, "limit")
    severity = _by_code(rules, {**settings.severity, **dataset.severity}, "severity")
    wanted = {c for word in select for c in meant(rules, word)} or {
        r.code for r in rules if r.status == "stable"
    }
    wanted -= {code for word in ignore for code in meant(rules, word)}
    if not wanted:
        raise SettingError(f"no rule is left for dataset {dataset.name!r}", "select more, or ignore fewer")
    return tuple(
        replace(
            rule,
            limit=float(limits.get(rule.code, rule.limit)),
            severity=severity.get(rule.code, rule.severity),
        )
        for rule in rules
        if rule.code in wanted
    )


def meant(rules: Iterable[Rule], word: str) -> list[str]:
    """Return the codes that a code, its beginning or a name means.

    Raises
    ------
    SettingError
        If it means none.
    """
    rules = list(rules)
    codes = [
        rule.code for rule in rules if rule.name == word or (word and rule.code.startswith(word.upper()))
    ]
    if codes:
        return codes
    close = closest(word, [name for rule in rules for name in (rule.code, rule.name)])
    hint = f"did you mean {close!r}?" if close else "audit rule --all shows all"
    raise SettingError(f"there is no rule {word!r}", hint)


def _by_code(rules: Sequence[Rule], values: Mapping[str, Value], what: str) -> dict[str, Value]:
    """Return values by code; each must name one rule."""
    found: dict[str, Value] = {}
    for word, value in values.items():
        codes = meant(rules, word)
        if len(codes) > 1:
            raise SettingError(
                f"a {what} is for one rule: {word!r} means {len(codes)}", "write the whole code"
            )
        found[codes[0]] = value
    return found
