"""Finds out what the writers of a verdict may know of the world: the repository, and who runs this.

It reads the environment and looks at files; the writers themselves do neither.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from dataaudit.findings.verdict import Verdict
from dataaudit.writers.verdict_places import Service, Surroundings

_PATIENCE: Final = 20  # seconds for git


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
    """Find out what the writers of a verdict may know.

    Parameters
    ----------
    verdict : Verdict
        Its sources are looked for.
    environment : mapping
        The process's.
    folder : Path
        That relative sources start from.
    config : Path, optional
        File that the settings came from; ``pyproject.toml`` of the root stands in without one.
    accepted : bool
        Whether SARIF lists accepted findings.

    Returns
    -------
    Surroundings
    """
    folder = folder.absolute()
    root = _root(folder, environment)
    return Surroundings(
        folder=folder.as_posix(),
        root=root.as_posix(),
        config=(config.absolute() if config else root / "pyproject.toml").as_posix(),
        stand_ins=_stand_ins(_sources(verdict), folder),
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


def _sources(verdict: Verdict) -> list[str]:
    places = (site for o in verdict.outcomes for site in (o.place, *(f.site for f in o.findings)))
    sources = dict.fromkeys(site.source for site in places)
    return [
        source for source in sources if source not in ("", "-") and "://" not in source and "\0" not in source
    ]


def _stand_ins(sources: Iterable[str], folder: Path) -> dict[str, str]:
    """Return what stands for sources that are not in the repository: their DVC pointer, or nothing known."""
    sources = list(sources)
    pointed = {source: f"{source}.dvc" for source in sources if (folder / f"{source}.dvc").is_file()}
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
