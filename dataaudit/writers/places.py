"""Where in the repository a finding points to, and what a writer may know of the world around a verdict.

A service that shows findings next to the code knows files of the repository, and lines of text. A row of a
Parquet file has no line, and data that are not in the repository have no file there: such a finding points to
a text file that stands for the data (a pointer of DVC, the dataset's card, the configuration that declares
it), and its message says which row is meant. `surroundings` reads the environment and looks at files; the
writers themselves do neither.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from dataaudit.escape import line
from dataaudit.files import is_file
from dataaudit.findings.verdict import Finding, Outcome, Place, Verdict
from dataaudit.report.verdict import NAME, finding_text, message, single

Service = Literal["", "github", "gitlab"]
CAP: Final = 500
_LINES: Final = frozenset(
    (".csv", ".tsv", ".psv", ".txt", ".json", ".jsonl", ".ndjson", ".toml", ".dvc", ".yaml", ".yml", ".md")
)
_PACKED: Final = frozenset((".gz", ".zst", ".bz2", ".xz", ".zip"))
_LONGEST: Final = 1000  # characters of a path
_JOINERS: Final = re.compile("[\u200c\u200d]")  # which emoji and Persian need
_ABSOLUTE: Final = re.compile(r"/|[A-Za-z]:/")
_PATIENCE: Final = 20  # seconds for git


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a writer may know beyond the verdict."""

    folder: str = ""  # absolute POSIX path that relative paths of sources start from; empty for the root
    root: str = ""  # absolute POSIX path of the repository; empty for `folder`
    config: str = "pyproject.toml"  # text file there that stands for data without lines
    stand_ins: Mapping[str, str] = field(default_factory=dict)  # source → text file that stands for it
    service: Service = ""  # the CI service that runs this
    job_summary: str = ""  # file to which a job summary is appended; empty for none
    accepted: bool = False  # whether SARIF lists accepted findings too, as suppressed
    cap: int = CAP  # findings of one rule that a file for a service lists; the total is always said


class Places:
    """Finds the places of a verdict's sites."""

    def __init__(self, verdict: Verdict, around: Surroundings) -> None:
        self._datasets = verdict.datasets
        self._around = around
        self._paths: dict[str, str] = {}  # source → its path in the repository; empty if it has none

    def of(self, outcome: Outcome, finding: Finding | None = None) -> Place:
        """Return the place of a finding, or of the outcome as a whole."""
        site = finding.site if finding else outcome.place
        path = self._paths.get(site.source)
        if path is None:
            path = self._paths[site.source] = self._path(site.source)
        kinds = [kind.lower() for kind in PurePosixPath(path).suffixes[-1:]]
        if path and site.source not in self._around.stand_ins and not _PACKED.intersection(kinds):
            if site.line is not None:
                return Place(path, max(site.line, 1), own=True)
            if _LINES.intersection(kinds):
                return Place(path, 1, own=True)
        return self._stand_in(site.source, outcome.dataset)

    def said(
        self, outcome: Outcome, findings: Iterable[Finding]
    ) -> Iterator[tuple[Place, str, Finding | None]]:
        """Yield where and what a rule says as a whole, unless its one finding is that, then its findings."""
        if not single(outcome):
            yield self.of(outcome), f"{line(outcome.dataset, NAME)}: {message(outcome)}", None
        for finding in findings:
            place = self.of(outcome, finding)
            yield place, finding_text(finding, place), finding

    def _stand_in(self, source: str, dataset: str) -> Place:
        facts = self._datasets.get(dataset, {})
        declared = facts.get("declared"), facts.get("declared_line")
        for path, at in ((self._around.stand_ins.get(source), 1), (facts.get("card"), 1), declared):
            if isinstance(path, str) and (inside := self._path(path)):
                return Place(inside, max(at, 1) if isinstance(at, int) else 1, own=False)
        return Place(self._path(self._around.config) or "pyproject.toml", 1, own=False)

    def _path(self, source: str) -> str:
        """Return a source's path in the repository; empty for what is not a file in it.

        A name that is not plain counts as none: no service would take it as it is.
        """
        plain = _JOINERS.sub("", source).isprintable() and "\\" not in source and source == source.strip()
        if not plain or "://" in source or source in ("", "-") or len(source) > _LONGEST:
            return ""
        folder = self._around.folder or "/"
        root = (self._around.root or folder).rstrip("/") + "/"
        path = posixpath.normpath(source if _ABSOLUTE.match(source) else posixpath.join(folder, source))
        return path.removeprefix(root) if path.startswith(root) else ""


def service(environment: Mapping[str, str]) -> Service:
    """Return the CI service that a process with this environment runs in, if it is one that is known."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return "github"
    return "gitlab" if environment.get("GITLAB_CI") == "true" else ""


def usual_format(environment: Mapping[str, str]) -> str:
    """Return the format for stdout where none is asked for: annotations in GitHub's jobs, else text."""
    return "github" if service(environment) == "github" else "text"


def surroundings(
    verdict: Verdict,
    environment: Mapping[str, str],
    *,
    folder: Path,
    config: Path | None = None,
    accepted: bool = False,
) -> Surroundings:
    """Find out what the writers of a verdict may know."""
    folder = folder.absolute()
    root = _root(folder, environment)
    return Surroundings(
        folder=folder.as_posix(),
        root=root.as_posix(),
        config=(config.absolute() if config else root / "pyproject.toml").as_posix(),
        stand_ins=_stand_ins(verdict, folder),
        service=service(environment),
        job_summary=environment.get("GITHUB_STEP_SUMMARY", "") if service(environment) == "github" else "",
        accepted=accepted,
    )


def _root(folder: Path, environment: Mapping[str, str]) -> Path:
    """Return the repository's folder: as GitLab says, else the nearest one with a ``.git``."""
    named = environment.get("CI_PROJECT_DIR") if service(environment) == "gitlab" else None
    if named and folder.is_relative_to(named):
        return Path(named)
    found = (above for above in (folder, *folder.parents) if (above / ".git").exists())
    workspace = environment.get("GITHUB_WORKSPACE", "")
    return next(found, Path(workspace) if workspace and folder.is_relative_to(workspace) else folder)


def _stand_ins(verdict: Verdict, folder: Path) -> dict[str, str]:
    """Return what stands for sources that are not in the repository: their DVC pointer, or nothing known."""
    places = (site for o in verdict.outcomes for site in (o.place, *(f.site for f in o.findings)))
    named = dict.fromkeys(site.source for site in places)
    sources = [one for one in named if one not in ("", "-") and "://" not in one and "\0" not in one]
    pointed = {source: f"{source}.dvc" for source in sources if is_file(folder / f"{source}.dvc")}
    ignored = _ignored([source for source in sources if source not in pointed], folder)
    return pointed | dict.fromkeys(ignored, "")


def _ignored(sources: list[str], folder: Path) -> list[str]:
    """Return the sources that git ignores; none where there is no git, or it does not answer."""
    git = shutil.which("git")
    if git is None or not sources:
        return []
    command = [git, "check-ignore", "-z", "--stdin"]
    asked = "\0".join(sources).encode("utf-8", "surrogateescape")
    try:
        answer = subprocess.run(  # noqa: S603 - git by its full path; the sources go by stdin
            command, input=asked, capture_output=True, check=False, cwd=folder, timeout=_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = answer.stdout.decode("utf-8", "surrogateescape").split("\0")
    return [source for source in found if source]
