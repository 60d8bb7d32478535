"""Where the files of a package go below a folder. Paths come from outside: none may leave the folder."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from modelkin.errors import ModelkinError
from shared.values import File

PART = ".part"
LONGEST_NAME_BYTES = 255
SHOWN_FILES = 3


class Place(NamedTuple):
    file: File
    path: Path
    part: Path
    """Where it is written until its digest is known to be right."""


class Left(NamedTuple):
    """What a folder lacks of a package."""

    missing: Sequence[Place]
    present: Sequence[Place]


def places_of(files: Sequence[File], folder: Path) -> list[Place]:
    """A place for each file.

    Raises:
        ModelkinError: a path would leave the folder, or two files would lie at one place.
    """
    taken = {file.path for file in files}
    if len(taken) < len(files):
        raise ModelkinError("the package lists a path twice")
    return [_place(file, folder, taken) for file in files]


def _place(file: File, folder: Path, taken: set[str]) -> Place:
    names = file.path.split("/")
    if {"", ".", ".."} & {*names} or "\0" in file.path:
        raise ModelkinError(f"the package lists {file.path!r}: expected a path that stays inside the folder")
    name = names[-1] + PART
    if len(name.encode()) > LONGEST_NAME_BYTES:
        name = hashlib.sha256(names[-1].encode()).hexdigest() + PART
    while "/".join((*names[:-1], name)) in taken:
        name += PART
    taken.add("/".join((*names[:-1], name)))
    path = folder.joinpath(*names)
    return Place(file, path, path.with_name(name))


def look(places: Sequence[Place], folder: Path, *, force: bool) -> Left:
    """Which files are there already, with the right bytes. Blocks, and reads all that are there.

    Raises:
        ModelkinError: a file is there that differs, and `force` does not allow to overwrite it; or it cannot be read.
    """
    missing, present, different = [], [], []
    for place in places:
        _check_folders(place, folder)
        if not os.path.lexists(place.path):
            missing.append(place)
        elif _is_whole(place):
            present.append(place)
        else:
            different.append(place)
    if different and not force:
        named = ", ".join(repr(place.file.path) for place in different[:SHOWN_FILES])
        more = f" and {len(different) - SHOWN_FILES} more" if len(different) > SHOWN_FILES else ""
        raise ModelkinError(f"{folder} holds {named}{more} with other content: --force overwrites")
    return Left([*missing, *different], present)


def make_folders(place: Place, folder: Path) -> None:
    """Make the folders above a place.

    Raises:
        ModelkinError: a link leads out of the folder, or a file is in the way.
    """
    for above in _above(place, folder):
        try:
            above.mkdir(exist_ok=True)
        except OSError as error:
            raise ModelkinError(f"{above} cannot be made: {error.strerror}") from error
        _check_inside(above, folder)


def _check_folders(place: Place, folder: Path) -> None:
    for above in _above(place, folder):
        if os.path.lexists(above):
            _check_inside(above, folder)


def _check_inside(above: Path, folder: Path) -> None:
    if above.is_symlink() and not above.resolve().is_relative_to(folder.resolve()):
        raise ModelkinError(f"{above} is a link that leads out of {folder}: nothing is written there")


def _above(place: Place, folder: Path) -> list[Path]:
    return [one for one in reversed(place.path.parents) if one != folder and one.is_relative_to(folder)]


def _is_whole(place: Place) -> bool:
    try:
        if place.path.is_symlink() or not place.path.is_file() or place.path.stat().st_size != place.file.size_bytes:
            return False
        with place.path.open("rb") as content:
            return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}" == place.file.digest
    except OSError as error:
        raise ModelkinError(f"{place.path} cannot be read: {error.strerror}") from error
