"""The files of an application directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .problems import AppError, Problem

_YAML = (".yaml", ".yml")


class AppFiles:
    """An app directory.

    :param path: as the user gave it.
    :raises AppError: when it is no directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = Path(path)
        try:
            self.root = given.resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise AppError([Problem(f'"{given}" is no path of an app: {error}')]) from error
        if not self.root.is_dir():
            raise AppError([_no_directory(given)])
        # Relative paths stay as given, so that terminals and editors find the file from here.
        self._shown = self.root.name if given.is_absolute() else os.path.normpath(given)
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def label(self, file: Path) -> str:
        """How errors call a file below the root."""
        return Path(self._shown, os.path.relpath(file, self.root)).as_posix()

    def yaml_files(self) -> Iterator[Path]:
        """All YAML files in a stable order; not hidden ones, such as an editor's locks and a Mac's companions."""
        for folder, folders, files in os.walk(self.root, onerror=self._unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            here = Path(folder)
            for name in folders:
                self._look_at_link(here / name)
            for name in sorted(files):
                if name.endswith(_YAML) and not name.startswith(".") and self._inside(here / name):
                    yield here / name

    def locate(self, file: Path, source: str, directory: bool) -> Path | str:
        """What `source` names, relative to a YAML file; a text says what is wrong with it."""
        noun = "directory" if directory else "file"
        try:
            path = Path(os.path.normpath(file.parent / source))
            if not path.is_relative_to(self.root):
                return f"{noun} is outside the app directory"
            real = path.resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError):
            return f"{noun} does not exist"
        except (OSError, RuntimeError, ValueError) as error:
            return f"{noun} cannot be read: {getattr(error, 'strerror', None) or error}"
        if not real.is_relative_to(self.root):
            return f"{noun} is a link that leaves the app directory"
        if not (real.is_dir() if directory else real.is_file()):
            return f"name is not that of a {noun}"
        return real

    def _inside(self, file: Path) -> bool:
        if not self._leaves(file):
            return True
        self.problems.append(
            Problem(
                "the file is a link that leaves the app directory", self.label(file), hint="copy the file"
            )
        )
        return False

    def _leaves(self, path: Path) -> bool:
        return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(self.root)

    def _look_at_link(self, folder: Path) -> None:
        if self._leaves(folder):
            self.warnings.append(
                Problem("the link leaves the app directory; no entries are read there", self.label(folder))
            )

    def _unreadable(self, error: OSError) -> None:
        where = self.label(Path(error.filename))
        self.problems.append(Problem(f"the directory cannot be read: {error.strerror}", where))


def _no_directory(given: Path) -> Problem:
    if given.is_file():
        return Problem(
            f'"{given}" is a file, but an app is a directory', hint=f'give the directory: "{given.parent}"'
        )
    return Problem(f'there is no app directory "{given}"', hint="`saros new DIR` makes one")
