"""Putting an export in its folder: only what an export wrote there ever goes, and a kill at any moment loses none.

An export holds the list of its files with their sizes and hashes. A new one is made in a hidden folder inside the one
that it is for, so that every move stays on one file system, and gets its list last. Then the files of the old one move
to another hidden folder, its list last, and the new ones into place, their list last. Wherever that is cut off, one of
the three folders holds a whole export, and the lists say how to go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from hpsearch.errors import StudyError
from hpsearch.study.atomic import read_json, write_json
from hpsearch.study.room import LITTLE

__all__ = ["LIST", "check_place", "files_in", "placed", "settle", "unsettled"]

LIST = ".hpsearch-export.json"
"""The list of the files of an export, by their paths in its folder."""
_NEW, _OLD = ".hpsearch-new", ".hpsearch-old"

Files = dict[str, dict[str, int | str]]


def check_place(folder: Path, wanted: Iterable[str], earlier: Collection[str] = ()) -> None:
    """Refuse a folder that an export could not be put in, before anything is trained for it; nothing is left there.

    Args:
        folder: Where it is to lie.
        wanted: What it will write, as patterns of paths in the folder.
        earlier: Where the folder holds an export without a list: what this may be of; these files get their list now.

    Raises:
        StudyError: It cannot be written, or holds files that are in the way.
    """
    target = _real(folder)
    made = [each for each in (target, *target.parents) if not each.exists()]
    if target.exists() and not target.is_dir():
        raise StudyError(f"{folder} is not a folder; name another with --output.")
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=target) as file:  # some mounts do not know how much room they have
            file.write(b"\0" * LITTLE)
            file.flush()
        if _listed(target) is None and any(target.iterdir()):
            if not earlier:
                raise StudyError(
                    f"{folder} holds something else than an export; name a folder that is new or empty with --output."
                )
            _write_list(target, files_in(target, earlier))
        _check_free(target, wanted, _listed(target) or {})
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()


@contextlib.contextmanager
def placed(folder: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """A folder to make an export in, which is put in its place when it is whole.

    Args:
        folder: Where it is to lie; see `check_place`.
        tell: Told which files of an earlier export were changed since, and stay.

    Raises:
        StudyError: It cannot be written, or a file has come in the way; then the next call goes on.
    """
    target = _real(folder)
    new, made = target / _NEW, not target.exists()
    try:
        target.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            _settle(target)
            new.mkdir()
            try:
                yield new
                _write_list(new, _paths(new))
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                if made:
                    with contextlib.suppress(OSError):
                        target.rmdir()
                raise
            kept = _settle(target)
    except OSError as error:
        raise _unwritable(folder, error) from error
    _tell_kept(folder, kept, tell)


def settle(folder: Path, tell: Callable[[str], None] = lambda _: None) -> None:
    """Finish what a kill left of putting an export in its folder, or take it back where it was not whole.

    Args:
        folder: Where the export lies; it may be missing.
        tell: Told which files of the one before were changed since, and stay.

    Raises:
        StudyError: It cannot be written, another process is at it, or a file is in the way.
    """
    target = _real(folder)
    if unsettled(target):
        try:
            with _alone(target):
                kept = _settle(target)
        except OSError as error:
            raise _unwritable(folder, error) from error
        _tell_kept(folder, kept, tell)


def _tell_kept(folder: Path, kept: Iterable[str], tell: Callable[[str], None]) -> None:
    for name in kept:
        tell(f"{folder / name} was changed since it was exported; it stays.")


def unsettled(folder: Path) -> list[Path]:
    """The hidden folders that a kill left in that of an export.

    Args:
        folder: Where the export lies; it may be missing.
    """
    return [each for each in (folder / _NEW, folder / _OLD) if os.path.lexists(each)]


def files_in(folder: Path, earlier: Collection[str], *, unchanged: bool = False) -> list[str]:
    """The files of an export, as paths in its folder.

    Args:
        folder: Where it lies.
        earlier: What it may hold where it has no list, as patterns.
        unchanged: Whether those that were changed since are left out.

    Raises:
        StudyError: Its list is damaged.
    """
    target = _real(folder)
    files = _listed(target)
    if files is None:
        return [name for name in _paths(target) if _matches(name, earlier) and _plain(target, name)]
    return [
        name for name, known in files.items() if _plain(target, name) and (not unchanged or _same(target, name, known))
    ]


def _settle(target: Path) -> list[str]:
    """Go on from whatever is there; returns which files of an earlier export were changed and stay."""
    new, old = target / _NEW, target / _OLD
    for each in unsettled(target):
        if each.is_symlink() or not each.is_dir():
            raise StudyError(f"{each} is not what hpsearch writes there; move it away.")
    files = _listed(new)
    kept: list[str] = []
    if files and all(_same(new, name, known) or _came(target, name, known) for name, known in files.items()):
        kept = _bring_in(target, files)
    elif not (target / LIST).exists() or not (old / LIST).exists():
        _take_back(target, files or {})
    for path in old.iterdir() if old.exists() else ():
        if path.name != LIST:  # which goes last: beside another list it says that the new files are in place
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for each in unsettled(target):
        shutil.rmtree(each)
    return kept


def _bring_in(target: Path, files: Files) -> list[str]:
    """Move the files of an earlier export away and the new ones into place."""
    new, old = target / _NEW, target / _OLD
    earlier = _listed(target)  # none where it has moved before, and what is in place is new
    waiting = [name for name in files if (new / name).exists()]
    _check_free(target, map(glob.escape, waiting), earlier or {})
    kept = []
    for name, known in (earlier or {}).items():
        if _same(target, name, known):
            _move(target, old, name)
        elif os.path.lexists(target / name):
            kept.append(name)
    if earlier is not None:
        _move(target, old, LIST)
    for name in (*waiting, LIST):
        _move(new, target, name)
    return kept


def _take_back(target: Path, files: Files) -> None:
    """Bring the old files back, as far as they had moved, where the new ones are not whole."""
    old = target / _OLD
    for name, known in files.items():
        if _came(target, name, known):
            (target / name).unlink()
    back = _listed(old) or _listed(target) or {}
    gone = [name for name in back if os.path.lexists(old / name)]
    _check_free(target, map(glob.escape, gone), {})
    for name in (*gone, *([LIST] if (old / LIST).exists() else [])):
        _move(old, target, name)


def _came(target: Path, name: str, known: dict[str, int | str]) -> bool:
    """Whether a new file is in its place already, which none is before the old list has moved."""
    return not os.path.lexists(target / LIST) and _same(target, name, known)


def _check_free(target: Path, wanted: Iterable[str], ours: Files) -> None:
    """Refuse where something that no export wrote, or that was changed since, would have to give way.

    Raises:
        StudyError: So it is.
    """
    patterns = list(wanted)
    around = {str(each) for pattern in patterns for each in PurePosixPath(pattern).parents}
    blocked = []
    for name in _paths(target, folders=True):
        folder = (target / name).is_dir() and not (target / name).is_symlink()
        if _matches(name, patterns) or (name in around and not folder):
            blocked += [] if name in ours and _same(target, name, ours[name]) else [name]
    if blocked:
        raise StudyError(
            f"{target} holds what the export would replace and what is not of hpsearch, or was changed since: "
            f"{', '.join(blocked)}. Move that away, or name another folder with --output."
        )


def _listed(folder: Path) -> Files | None:
    """What the list of an export says; None where there is none.

    Raises:
        StudyError: It is damaged.
    """
    path = folder / LIST
    if not os.path.lexists(path):
        return None
    try:
        files: Files = read_json(path)["files"]
        if all(_inside(name) and {*known} == {"size", "sha256"} for name, known in files.items()):
            return files
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise StudyError(
        f"{path} is damaged, so that nobody knows what is of an export there; move that folder away, or name another "
        "with --output."
    )


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and path.parts[0] not in _HIDDEN


_HIDDEN = (LIST, _NEW, _OLD)


def _write_list(folder: Path, names: Iterable[str]) -> None:
    """List files, which are on the disk by then."""
    files: Files = {}
    for name in names:
        with open(folder / name, "rb") as file:
            os.fsync(file.fileno())
        files[name] = _fact(folder / name)
    write_json(folder / LIST, {"files": files})


def _fact(path: Path) -> dict[str, int | str]:
    with open(path, "rb") as file:
        return {"size": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _same(folder: Path, name: str, known: dict[str, int | str]) -> bool:
    """Whether a file is the one of the list."""
    path = folder / name
    try:
        return _plain(folder, name) and path.stat().st_size == known["size"] and _fact(path) == known
    except OSError:
        return False


def _plain(folder: Path, name: str) -> bool:
    """Whether it is a regular file that no link leads to."""
    return (folder / name).is_file() and _real(folder / name) == folder / name


def _paths(folder: Path, *, folders: bool = False) -> list[str]:
    """All that is in a folder, links not followed, as paths in it."""
    found = (path for path in folder.rglob("*") if folders or path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if name.partition("/")[0] not in _HIDDEN)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _move(source: Path, goal: Path, name: str) -> None:
    (goal / name).parent.mkdir(parents=True, exist_ok=True)
    (source / name).rename(goal / name)
    for each in list(PurePosixPath(name).parents)[:-1]:
        with contextlib.suppress(OSError):  # another file is in it
            (source / each).rmdir()


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Held by one process at a time; the lock is on the folder itself, and no file is left."""
    descriptor = os.open(target, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # of a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StudyError(
                    f"Another process writes an export to {target}; wait for it, or name another folder with --output."
                ) from None
        yield
    finally:
        os.close(descriptor)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _unwritable(folder: Path, error: OSError) -> StudyError:
    return StudyError(
        f"The export cannot be written to {folder}: {error.strerror or error}; choose another with --output."
    )
