"""Rule packs: TOML files to rules, checked before any data are read.

A pack is data. Its conditions are SQL predicates over one table of facts, its sentences are filled in with
the columns of that table by name: nothing of it is run as Python, nothing in it reaches beyond the table::

    [[rule]]
    code = "ACME001"
    name = "too-few-rows"
    title = "The table has few rows"
    table = "dataset"
    where = "rows < 1000"
    severity = "error"
    message = "{dataset} has too few rows"
    doc = "…five sections…"

Python's own ``format`` follows attributes and indices out of a value, so that ``{value.__class__}`` could
read what is not a pack's business. Here a field is a plain name with a format, and what is missing is a dash.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Final, Literal, get_args

from dataaudit.errors import SettingError, suggestion
from dataaudit.findings.verdict import MEASURES, SEVERITIES, Precision, Rule, Scope

BUILT_IN: Final = ("labels", "leakage", "domain", "table", "influence", "health")
SECTIONS: Final = ("What it does", "Why it matters", "How to look at it", "Options", "References")
OURS: Final = "DA"
MESSAGE_FIELDS: Final = frozenset({"value", "limit", "dataset", "total", "counted"})
MISSING: Final = "—"
Need = Literal["label", "text", "id", "date", "test", "base", "fit"]
ASK: Final[dict[Need, str]] = {  # what a person does to give it, in the order to mention it
    "label": "name the label column (--label)",
    "text": "name a text column (--text)",
    "id": "name the id column (--id)",
    "date": "name the date column (--date)",
    "test": "name test data (--test)",
    "base": "name the accepted data (--base)",
    "fit": "name a label column, or a folder of findings",
}
_CELL = 80  # characters of a value in a sentence
# No width that fills the memory; after a blank the noun that is counted: {rows:, row} is 1 row, 2 rows.
_FORMAT = re.compile(r"[<>^]?\+?[0-9]{0,2}[,_]?(\.[0-9]{1,2})?[a-zA-Z%]?( [a-z][a-z -]*)?")
_KEYS: Final = {field.name: field for field in dataclasses.fields(Rule) if field.name != "pack"}
_CODE: Final = re.compile(r"[A-Z]{2,10}[0-9]{3,5}")
_RULE_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CHOICES: Final[Mapping[str, Sequence[str]]] = {
    "measure": MEASURES,
    "severity": SEVERITIES,
    "scope": get_args(Scope),
    "precision": get_args(Precision),
    "status": ("stable", "preview", "deprecated"),
}


def read_packs(own: Iterable[str] = ()) -> tuple[Rule, ...]:
    """Return the rules of all built-in packs and of the files in `own`, by code."""
    rules: dict[str, Rule] = {}
    names: dict[str, str] = {}
    for where, pack, text in pack_texts(own):
        for rule in parse_pack(text, pack, where=where):
            if rule.code in rules:
                what = f"code {rule.code} is taken by {rules[rule.code].name}"
                raise SettingError(f"{where}: {what}", "choose another")
            if rule.name in names:
                what = f"name {rule.name!r} is taken by {names[rule.name]}"
                raise SettingError(f"{where}: {what}", "choose another")
            if where != pack and rule.code.startswith(OURS):
                what = f"codes that start with {OURS} are ours: got {rule.code}"
                raise SettingError(f"{where}: {what}", "rename it")
            rules[rule.code], names[rule.name] = rule, rule.code
    return tuple(rules[code] for code in sorted(rules))


def packs_digest(own: Iterable[str] = ()) -> str:
    """Return hexadecimal digits that stand for the content of all packs."""
    texts = "\0".join(f"{name}\0{text}" for _, name, text in pack_texts(own))
    return hashlib.sha256(texts.encode()).hexdigest()


def pack_texts(own: Iterable[str] = ()) -> list[tuple[str, str, str]]:
    """Return where each pack is, its name and its text; for a built-in one, where is its name."""
    folder = files("dataaudit.rules")
    found = [(name, name, folder.joinpath(f"{name}.toml")) for name in BUILT_IN]
    texts = [(where, name, file.read_text(encoding="utf-8")) for where, name, file in found if file.is_file()]
    for path in own:
        try:
            texts.append((path, Path(path).stem, Path(path).read_text(encoding="utf-8")))
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or "not UTF-8"
            raise SettingError(f"the rule pack {path} cannot be read: {why}", "check the path") from error
    return texts


def parse_pack(text: str, pack: str, *, where: str) -> list[Rule]:
    """Return the rules of one pack; tables and their columns are not looked at here."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{where} is not TOML: {error}", "check the quotes and brackets there") from error
    _require_known(content, ("rule",), where)
    entries = content.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingError(f"{where}: 'rule' is no list of tables", "start each rule with [[rule]]")
    return [_rule(entry, pack, f"{where}, rule {i}") for i, entry in enumerate(entries, start=1)]


def _rule(entry: dict[str, Any], pack: str, where: str) -> Rule:
    if isinstance(entry.get("code"), str):
        where = f"{where} ({entry['code']})"
    _require_known(entry, _KEYS, where)
    for key, field in _KEYS.items():
        if key not in entry:
            if field.default is dataclasses.MISSING:
                raise SettingError(f"{where} lacks the key {key!r}", f"its keys are {', '.join(_KEYS)}")
        elif key == "limit":
            if type(entry[key]) not in (int, float) or not math.isfinite(entry[key]):
                raise SettingError(f"{where}: limit is no number: got {entry[key]!r}", "write e.g. 0.05")
        elif not isinstance(entry[key], str):
            raise SettingError(f"{where}: {key} is no text: got {entry[key]!r}", "put it in quotes")
    for key, choices in _CHOICES.items():
        if key in entry and entry[key] not in choices:
            hint = suggestion(entry[key], choices)
            raise SettingError(f"{where}: there is no {key} {entry[key]!r}", hint)
    for need in entry.get("needs", "").split():
        if need not in ASK:
            raise SettingError(f"{where}: there is no need {need!r}", suggestion(need, ASK))
    if bool(entry.get("judges")) != bool(entry.get("unjudged")):
        raise SettingError(f"{where}: judges and unjudged go together", "write both, or neither")
    _check_form(entry, where)
    return Rule(pack=pack, **{**entry, "limit": float(entry.get("limit", 0.0)), "doc": entry["doc"].strip()})


def _check_form(entry: Mapping[str, Any], where: str) -> None:
    """Raise SettingError if code, name, sentences or documentation are not of the form to rely on."""
    if not _CODE.fullmatch(entry["code"]):
        raise SettingError(f"{where}: a code is capitals and digits: got {entry['code']!r}", "e.g. ACME001")
    if not _RULE_NAME.fullmatch(entry["name"]):
        what = f"a name is words-with-hyphens: got {entry['name']!r}"
        raise SettingError(f"{where}: {what}", "e.g. too-few-rows")
    if (entry.get("measure", "count") in ("sum", "max", "min")) != bool(entry.get("column")):
        what = f"measure {entry.get('measure', 'count')!r} with column {entry.get('column', '')!r}"
        hint = "sum, max and min take a column, others none"
        raise SettingError(f"{where}: {what} is nothing to measure", hint)
    for field in fields_of(entry["message"], where):
        if field not in MESSAGE_FIELDS:
            hint = f"its fields are {', '.join(sorted(MESSAGE_FIELDS))}"
            raise SettingError(f"{where}: message has a field {field!r}", hint)
    fields_of(entry.get("each", ""), where)
    headings = re.findall(r"^## (.+?)\s*$", entry["doc"], re.MULTILINE)
    if tuple(headings) != SECTIONS:
        missing = [section for section in SECTIONS if section not in headings]
        what = f"lacks the section {missing[0]!r}" if missing else "has other sections, or another order"
        raise SettingError(f"{where}: doc {what}", f"write ## {', ## '.join(SECTIONS)}")


def _require_known(entry: Mapping[str, Any], keys: Iterable[str], where: str) -> None:
    keys = tuple(keys)
    for key in entry:
        if key not in keys:
            hint = suggestion(key, keys, f"the keys are {', '.join(keys)}")
            raise SettingError(f"{where} has an unknown key {key!r}", hint)


def fields_of(sentence: str, where: str) -> list[str]:
    """Return the names of the fields of a sentence."""
    try:
        parts = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(sentence)]
    except ValueError as error:
        what = f"{where}: a sentence has unmatched braces: {error}"
        raise SettingError(what, "double those that are text") from error
    names = []
    for name, spec, conversion in parts:
        if name is None:
            continue
        if not name.isidentifier() or not _FORMAT.fullmatch(spec or "") or conversion:
            raise SettingError(f"{where}: a field is no plain name: got {{{name}}}", "write e.g. {value:.2%}")
        names.append(name)
    return names


def fill(sentence: str, values: Mapping[str, Any]) -> str:
    """Return the sentence with its fields filled in; long values are cut, missing ones become a dash."""
    out = []
    for text, name, spec, _ in Formatter().parse(sentence):
        out.append(text)
        if name is not None:
            out.append(_formatted(values.get(name), spec or ""))
    return "".join(out)


def _formatted(value: Any, spec: str) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    form, _, noun = spec.partition(" ")
    try:
        text = format(value, form)
    except (ValueError, TypeError):
        text = str(value)
    if noun:
        text = f"{text} {noun if text == '1' else plural(noun)}"
    text = " ".join(text.split())
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def plural(noun: str) -> str:
    """Return a noun for any number but one."""
    return f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
