"""Where models are found: object stores."""

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING

import obstore
from obstore import exceptions

from services.importer.domain import Unacceptable
from services.importer.ports import FoundFile
from services.importer.secrets import Secrets
from services.importer.sources.archives import is_archive, unpacked
from services.importer.sources.buckets import Bucket, Place, bucket_of, fault_of
from services.importer.sources.limits import Limits, check_path, in_order, shown_end, too_many_files, top_folders
from services.importer.sources.reader import ObjectVersion, open_object
from services.importer.sources.spool import Spool
from services.importer.threads import to_its_end
from shared.texts import shown
from shared.values import Reason

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE_OBJECTS = 1000
CONCURRENT_REQUESTS = 16
MOST_PAGES = 1000
# Sorts behind every other character: what is below a folder comes before it.
_LAST = "\U0010ffff"


class ObjectStores:
    """`s3://`, `obs://`, `gs://` and `az://` locations."""

    def __init__(self, secrets: Secrets, limits: Limits, spool: Spool, private: Place | None = None) -> None:
        """`private` is where the artifact store is: there, every workspace would read what others brought in."""
        self._secrets = secrets
        self._limits = limits
        self._spool = spool
        self._private = private

    @contextlib.asynccontextmanager
    async def found(self, location: str, workspace: str) -> AsyncIterator[Sequence[FoundFile]]:
        files = await self._look(location, workspace)
        if not isinstance(files, FoundFile):
            yield files
        elif not is_archive(files.path):
            yield in_order([files], self._limits)
        else:
            async with unpacked(files, self._limits, self._spool, in_place=False) as members:
                yield members

    async def folders(self, location: str, workspace: str) -> Sequence[str]:
        place = self._allowed(location)
        bucket = await self._bucket(place, workspace)
        if not is_archive(place.key) and (names := await _folders_in(bucket, place)) is not None:
            return names
        async with self.found(location, workspace) as files:
            return top_folders(file.path for file in files)

    def _allowed(self, location: str) -> Place:
        place = Place.parse(location)
        if self._private is not None and _overlap(place, self._private):
            raise Unacceptable(
                Reason.LOCATION_NOT_ALLOWED, f"{shown_end(place)} holds what other workspaces brought in"
            )
        return place

    async def _bucket(self, place: Place, workspace: str) -> Bucket:
        bucket = await to_its_end(functools.partial(bucket_of, place, self._secrets, workspace))
        await to_its_end(lambda: bucket.client)
        return bucket

    async def _look(self, location: str, workspace: str) -> FoundFile | Sequence[FoundFile]:
        """A folder, or else one object. What is named like an archive is one where there is such an object."""
        place = self._allowed(location)
        bucket = await self._bucket(place, workspace)
        named_alone = bool(place.key) and not location.endswith("/")
        if named_alone and is_archive(place.key) and (archive := await _alone(bucket, place)):
            return archive
        objects = await self._objects(bucket, place)
        files = await _files_of(bucket, place, objects)
        if files:
            return in_order(files, self._limits)
        if objects:
            raise Unacceptable(Reason.LOCATION_EMPTY, f"{shown_end(place)} holds no file: expected a model")
        if named_alone and (one := await _alone(bucket, place)):
            return one
        raise _absent(place)

    async def _objects(self, bucket: Bucket, place: Place) -> dict[str, "ObjectMeta"]:
        """All that is below a key, by the path from there; a folder's own marker is ''."""
        objects: dict[str, ObjectMeta] = {}
        async for page in _pages(bucket, place):
            for found in page:
                path = found["path"][len(place.key) :].removeprefix("/")
                if path not in objects or found["size"]:
                    objects[path] = found
            if len(objects) > self._limits.max_files + 1:
                raise too_many_files(self._limits, "the folder")
        return objects


async def _pages(
    bucket: Bucket, place: Place, offset: str | None = None
) -> AsyncGenerator[Sequence["ObjectMeta"], None]:
    """Listed again where that failed for no reason that is known: the client tells missing buckets from nothing else."""
    for attempt in range(2):
        try:
            async for page in obstore.list(bucket.client, place.key or None, offset=offset, chunk_size=PAGE_OBJECTS):
                yield page
        except exceptions.GenericError:
            await _check_reachable(bucket, place)
            if attempt:
                raise _absent(place) from None
        except (exceptions.BaseError, OSError, ValueError) as error:
            raise fault_of(error, shown_end(place)) from None
        else:
            return


async def _page(bucket: Bucket, place: Place, offset: str | None) -> Sequence["ObjectMeta"]:
    async with contextlib.aclosing(_pages(bucket, place, offset)) as pages:
        async for page in pages:
            return page
    return ()


async def _check_reachable(bucket: Bucket, place: Place) -> None:
    """Asking for an object, the client tells one fault from another. Raises where it is no missing bucket."""
    try:
        await obstore.head_async(bucket.client, place.key or "-")
    except FileNotFoundError:
        return
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise fault_of(error, shown_end(place)) from None


async def _alone(bucket: Bucket, place: Place) -> FoundFile | None:
    """The object with exactly this key."""
    try:
        found = await obstore.head_async(bucket.client, place.key)
    except FileNotFoundError:
        return None
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise fault_of(error, shown_end(place)) from None
    return _file(bucket, place.key.rpartition("/")[2], found)


async def _files_of(bucket: Bucket, place: Place, objects: dict[str, "ObjectMeta"]) -> list[FoundFile]:
    """What is a file among them. Consoles make empty objects to show folders; listed, they look like empty files."""
    folders = {folder for path in objects for folder in _above(path)}
    for path in folders & objects.keys():
        if objects[path]["size"]:
            raise Unacceptable(Reason.UNSUPPORTED_FILE, f"{shown(path)} is both an object and a folder")
    empty = [path for path, found in objects.items() if path and not found["size"] and path not in folders]
    markers = await _markers(bucket, place, empty)
    paths = objects.keys() - folders - markers - {""}
    return [_file(bucket, path, objects[path]) for path in paths]


async def _markers(bucket: Bucket, place: Place, paths: Sequence[str]) -> set[str]:
    """Those that are no objects of their own: their keys end with '/'."""
    room = asyncio.Semaphore(CONCURRENT_REQUESTS)

    async def is_marker(path: str) -> bool:
        async with room:
            key = f"{place.key}/{path}" if place.key else path
            return await _alone(bucket, place._replace(key=key)) is None

    judged = await asyncio.gather(*(is_marker(path) for path in paths))
    return {path for path, marker in zip(paths, judged, strict=True) if marker}


async def _folders_in(bucket: Bucket, place: Place) -> Sequence[str] | None:
    """The folders right below a key, None where nothing is there. Steps over what is in them."""
    names: set[str] = set()
    start = f"{place.key}/" if place.key else ""
    offset = None
    for count in range(MOST_PAGES):
        paths = [found["path"].removeprefix(start) for found in await _page(bucket, place, offset)]
        names.update(top_folders(paths))
        if not paths:
            return sorted(names) if count else None
        folder, inside, _ = paths[-1].partition("/")
        offset = f"{start}{folder}/{_LAST}" if inside else f"{start}{folder}"
    raise Unacceptable(Reason.TOO_MANY_FILES, f"{shown_end(place)} holds too many objects to look for folders")


def _file(bucket: Bucket, path: str, found: "ObjectMeta") -> FoundFile:
    check_path(path)
    version = ObjectVersion(bucket, found["path"], found["size"], found["e_tag"])
    state = _state(bucket, found) if found["e_tag"] else None
    return FoundFile(path, found["size"], functools.partial(open_object, version), state)


def _state(bucket: Bucket, found: "ObjectMeta") -> str:
    """With the id of the credentials: who may list an object may not always read it."""
    reader = bucket.keys[0] if bucket.keys else ""
    where = (bucket.scheme, bucket.endpoint, bucket.name, reader, found["path"])
    what = (found["e_tag"], found["version"], found["size"], found["last_modified"].isoformat())
    return f"object:{hashlib.sha256(repr((where, what)).encode()).hexdigest()}"


def _above(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _overlap(one: Place, other: Place) -> bool:
    """Whether one lies in the other. OBS may be asked as S3."""
    if one.bucket != other.bucket or (one.scheme != other.scheme and {one.scheme, other.scheme} != {"s3", "obs"}):
        return False
    first, second = f"{one.key}/".lstrip("/"), f"{other.key}/".lstrip("/")
    return first.startswith(second) or second.startswith(first)


def _absent(place: Place) -> Unacceptable:
    return Unacceptable(Reason.LOCATION_NOT_FOUND, f"{shown_end(place)} does not exist: expected a folder or a file")
