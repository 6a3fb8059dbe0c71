"""Loads and checks applications: their entries, and the runtimes that run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..entries import AppError, Problem, Registry, load
from ..entries.problems import in_order
from ..interfaces.deployment import Deployment
from ..model.errors import CodeError
from .plugins import Plugins, installed


def load_app(
    path: str | Path | None, plugins: Plugins | None = None, env: Mapping[str, str] | None = None
) -> Deployment:
    """Load an app and the runtimes for it; with the path None, an app without entries.

    :raises AppError: with every problem of its YAML files at once.
    """
    plugins = plugins or installed()
    if path is None:
        return Deployment(Registry(Path.cwd(), {}), {}, {})
    known = {*plugins.modules(), *(name for runtime in plugins.runtimes() for name in runtime.always)}
    absent = {name: said for runtime in plugins.runtimes() for name, said in runtime.absent.items()}
    return _deployment(load(path, plugins.kinds(), env, known_modules=known, absent=absent), plugins)


def check_app(path: str | Path, plugins: Plugins | None = None, *, thorough: bool = False) -> Deployment:
    """Load an app and compile all its code.

    :param thorough: also analyse the code for lines that would fail when they run.
    :raises AppError: with every problem of YAML and code.
    """
    plugins = plugins or installed()
    try:
        deployment = load_app(path, plugins)
    except AppError as error:
        if error.rest is None:
            raise
        rest = _deployment(error.rest, plugins)
        problems = code_problems(rest)
        if thorough:
            problems = with_findings(problems, rest, complete=False)
        raise AppError([*error.problems, *problems], error.rest) from None
    problems = code_problems(deployment)
    if thorough:
        problems = with_findings(problems, deployment, complete=True)
    if problems:
        raise AppError(problems, deployment.registry)
    return deployment


def check_code(deployment: Deployment) -> None:
    """Compile all the code of an app.

    :raises AppError: with every problem.
    """
    if problems := code_problems(deployment):
        raise AppError(problems, deployment.registry)


def code_problems(deployment: Deployment) -> list[Problem]:
    """The problems of an app's code; a mistake in code that several entries share is reported once."""
    problems: dict[tuple[str, str], Problem] = {}
    for entry in sorted(deployment.registry.entries.values(), key=lambda entry: entry.role != "library"):
        runner: Any = deployment.programs.get(entry.runtime) or deployment.functions.get(entry.runtime)
        if runner is None:
            continue
        try:
            runner.check(entry)
        except CodeError as error:
            where = error.where or entry.where()
            problem = Problem(error.message, where, entry.id, error.hint or "")
            problems.setdefault((error.message, where), problem)
    return list(problems.values())


def with_findings(problems: list[Problem], deployment: Deployment, *, complete: bool) -> list[Problem]:
    """These problems, and those that an analysis of the code finds in other lines.

    :param complete: True if all entries of the app are loaded.
    """
    told = {problem.where: problem for problem in problems}
    found: dict[tuple[str, str], Problem] = {}
    for entry in deployment.registry.entries.values():
        runtime = deployment.programs.get(entry.runtime)
        for problem in [] if runtime is None else runtime.findings(entry, complete=complete):
            if problem.where not in told:
                found.setdefault((problem.message, problem.where), problem)
    return in_order([*problems, *found.values()])


def _deployment(registry: Registry, plugins: Plugins) -> Deployment:
    modules = plugins.modules()
    programs: dict[str, Any] = {}
    functions: dict[str, Any] = {}
    for runtime in plugins.runtimes():
        (functions if runtime.functions else programs)[runtime.name] = runtime.make(registry, modules)
    return Deployment(registry, programs, functions, modules)
