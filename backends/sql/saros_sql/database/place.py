"""Where a SQLite database may be: a regular file that has one path, on a disk of this machine."""

from __future__ import annotations

import os
import re
import stat
from typing import Final

from saros.model.errors import INVALID, NOT_FOUND, PERMISSION_DENIED, Error

from ..options import Options

LONGEST_PATH: Final = 500
"""In bytes. SQLite opens no longer ones, with some room for the endings of its logs."""
NETWORK: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb2",
        "smb3",
        "smbfs",
        "afs",
        "ceph",
        "glusterfs",
        "fuse.sshfs",
        "fuse.glusterfs",
    }
)
"""File systems that several machines share. SQLite's log needs shared memory, so a database breaks there."""
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


def check_place(options: Options) -> None:
    """Check a path without opening the file: closing it again would drop the locks that this process has on it.

    :raises Error: if the path cannot hold a database.
    """
    path = options.path
    real = os.path.realpath(path)
    try:
        found = _status(real)
        _status(f"{real}-journal")  # its name may be too long
    except OSError as exc:
        kind = PERMISSION_DENIED if isinstance(exc, PermissionError) else INVALID
        raise Error(f"{path} cannot be a database: {exc.strerror}", kind, retryable=False) from exc
    if len(os.fsencode(real)) > LONGEST_PATH:
        raise Error(
            f"{path} is longer than the {LONGEST_PATH} bytes of a path that SQLite opens",
            INVALID,
            retryable=False,
        )
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        raise Error(f"there is no directory {folder} for the database {path}", NOT_FOUND, retryable=False)
    mounted = mounts()
    kind = filesystem(folder, mounted)
    if kind in NETWORK:
        raise Error(
            f"{path} is on a network file system ({kind}), where SQLite databases break",
            INVALID,
            retryable=False,
            hint="put it on a disk of this machine; for several machines use postgresql:// or redis://",
        )
    _may_write(folder)
    if found is not None:
        _check_file(path, found, real in mounted)
        _may_write(path)


def _check_file(path: str, found: os.stat_result, mounted: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        what = "directory" if stat.S_ISDIR(found.st_mode) else "device, a pipe or a socket"
        raise Error(f"{path} is a {what}, not a database", INVALID, retryable=False)
    if mounted or found.st_nlink > 1:
        why = "is mounted as a single file" if mounted else "has more than one hard link"
        raise Error(
            f"{path} {why}: whoever opens it by another path would use another log, and destroy it",
            INVALID,
            retryable=False,
            hint="mount its directory" if mounted else "delete the other links, or name a copy",
        )
    if not os.access(path, os.R_OK):
        raise Error(f"this user has no permission to read {path}", PERMISSION_DENIED, retryable=False)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _may_write(path: str) -> None:
    if not os.access(path, os.W_OK):
        raise Error(
            f"this user has no permission to write to {path}",
            PERMISSION_DENIED,
            retryable=False,
            hint="Saros writes to the database file and to a log beside it",
        )


def mounts() -> dict[str, str]:
    """Return the types of the file systems that are mounted: path -> type; empty if the system does not tell."""
    found = {}
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                _, point, name, *_ = line.split(" ")
                found[_ESCAPED.sub(lambda match: chr(int(match[1], 8)), point)] = name
    except (OSError, ValueError):
        return {}
    return found


def filesystem(folder: str, mounted: dict[str, str]) -> str:
    """Return the type of the file system of a directory, such as ``ext4``; empty if the system does not tell."""
    place = os.path.realpath(folder)
    while place not in mounted and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return mounted.get(place, "")
