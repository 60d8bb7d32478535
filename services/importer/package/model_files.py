"""Whether a folder holds the files that an engine loads, each once. Bytes are not looked at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.importer.domain import Unacceptable
from services.importer.package.engines import Engine, Parts, Way, matches, whole
from services.importer.package.faults import shown
from shared.values import Reason

MOST_NAMED = 5


class Listed(Protocol):
    """A file of a package."""

    @property
    def path(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...


class _Found(NamedTuple):
    """What there is of one way; `files` are the matches of each of its patterns."""

    way: Way
    files: tuple[tuple[str, ...], ...]

    @property
    def is_whole(self) -> bool:
        return all(self.files)


def check_model_files(
    engine: Engine, files: Sequence[Listed], folder: str, *, chosen_by_code: bool, hint: str = ""
) -> None:
    """Check that files lie in a folder as the engine needs them.

    Args:
        engine: one that loads files.
        files: of the package, also outside the folder.
        folder: `model`
        chosen_by_code: there is inference code, which says what is loaded: one file among several is enough.
        hint: is said where a file is missing.

    Raises:
        Unacceptable: a file is missing, empty, or one of several.
    """
    sizes = {file.path.removeprefix(f"{folder}/"): file.size_bytes for file in files if _is_below(file.path, folder)}
    ways = _found(engine, sizes)
    held = next((found for found in ways if found.is_whole), None)
    if held is None:
        raise _missing(engine, f"found {_what_is_there(engine, files, folder)}{hint}")
    for paths in held.files:
        _check_whole(engine, paths, sizes, folder)
    if not chosen_by_code:
        _check_one(engine, ways, folder)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _found(engine: Engine, paths: Mapping[str, int]) -> list[_Found]:
    found = [_Found(way, tuple(_matching(way, pattern, paths) for pattern in way.patterns)) for way in engine.ways]
    usual = [way for way in found if not way.way.spare and any(way.files)]
    return usual or [way for way in found if way.way.spare]


def _matching(way: Way, pattern: str, paths: Mapping[str, int]) -> tuple[str, ...]:
    return tuple(sorted(path for path in paths if path not in way.but and matches(pattern, path)))


def _check_whole(engine: Engine, paths: Sequence[str], sizes: Mapping[str, int], folder: str) -> None:
    if not any(sizes[path] for path in paths):
        raise _missing(engine, f"{shown(f'{folder}/{paths[0]}')} is empty (0 bytes)")
    lost = next((part for part in whole(paths).values() if part), None)
    if lost:
        raise _missing(engine, f"the part {shown(f'{folder}/{lost}')} is not there")


def _check_one(engine: Engine, ways: Sequence[_Found], folder: str) -> None:
    """What is loaded must be plain: one file of each kind, and not two kinds."""
    first = [name for found in ways for name in whole(found.files[0])]
    others = (list(whole(paths)) for found in ways for paths in found.files[1:])
    for files in (first, *others):
        if len(files) > 1 and not _is_folder(ways):
            raise Unacceptable(
                Reason.MORE_THAN_ONE_MODEL_FILE,
                f"{folder}/ holds {_named(map(_text, files), len(files))}: expected one {engine.name} model,"
                " or a customize_service.py that says which to load",
            )


def _is_folder(ways: Sequence[_Found]) -> bool:
    return any(pattern.endswith("/") for found in ways for pattern in found.way.patterns)


def _text(name: str | Parts) -> str:
    return name if isinstance(name, str) else f"{name.stem}-*-of-{name.total}{name.end}"


def _missing(engine: Engine, found: str) -> Unacceptable:
    return Unacceptable(Reason.ENGINE_FILE_MISSING, f"{engine.name} needs {engine.needs} in model/: {found}")


def _what_is_there(engine: Engine, files: Sequence[Listed], folder: str) -> str:
    inside = [file.path.removeprefix(f"{folder}/") for file in files if _is_below(file.path, folder)]
    names = sorted(path for path in inside if "/" not in path and path != "config.json")
    deeper = next((file.path for file in files if _would_do(engine, file.path, folder)), None)
    there = _named(names, len(names)) if names else "nothing"
    return f"{there}, and {shown(deeper)}, which should lie in {folder}/" if deeper else there


def _would_do(engine: Engine, path: str, folder: str) -> bool:
    """It is in the wrong folder, and has the name of a file that is needed."""
    name = path.rpartition("/")[2]
    if path == f"{folder}/{name}" or name == "config.json":
        return False
    return any(matches(pattern, name) for way in engine.ways for pattern in way.patterns if "/" not in pattern)


def _named(names: Iterator[str] | Sequence[str], count: int) -> str:
    told = [shown(name) for _, name in zip(range(MOST_NAMED), names, strict=False)]
    more = f" and {count - len(told)} more" if count > len(told) else ""
    return f"{', '.join(told)}{more}"
