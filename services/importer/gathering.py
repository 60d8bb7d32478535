"""What is to be imported, by each method: found at its place, checked by the rules of packages, nothing copied yet."""

import contextlib
import functools
import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from services.importer.domain import Unacceptable
from services.importer.package.config import read_config, requirements_of
from services.importer.package.engines import IMAGE
from services.importer.package.layout import CONFIG, CheckedPackage, check_package
from services.importer.package.reading import LARGEST_BYTES
from services.importer.ports import FoundFile, Images, ModelSource, ResolvedImage
from services.importer.templates.catalogue import Catalogue
from services.importer.templates.plan import check_template_package
from services.importer.threads import to_its_end
from shared.messages import ImportRequest
from shared.values import FromAutoLearning, FromImage, FromJob, FromTemplate, Image, Reason

IMAGE_MANIFEST = "image/manifest.json"
IMAGE_CONFIGURATION = "image/config.json"


@dataclass(frozen=True, slots=True)
class Gathered:
    """A package that may be imported, as far as can be said without reading all of it."""

    files: Sequence[FoundFile] = ()
    """As they lie at their place, under their paths in the package."""
    generated: Sequence[FoundFile] = ()
    """What the import itself adds."""
    checked: CheckedPackage | None = None
    """What the configuration says; None where the method needs none."""
    image: Image | None = None
    allows_batch: bool = True
    judged: Mapping[str, str] = field(default_factory=dict)
    """path → digest of what was read of a file when it was checked: what is imported must be the same."""

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in (*self.files, *self.generated))

    @property
    def file_count(self) -> int:
        return len(self.files) + len(self.generated)


class Gathering:
    """Finds and checks. Holds no state."""

    def __init__(self, source: ModelSource, images: Images, catalogue: Catalogue) -> None:
        self._source = source
        self._images = images
        self._catalogue = catalogue

    @contextlib.asynccontextmanager
    async def gathered(self, request: ImportRequest) -> AsyncIterator[Gathered]:
        """The package of a request, open to be read inside the block.

        Raises:
            Unacceptable: a rule is broken.
            Transient: what holds the package is away.
        """
        origin, workspace = request.origin, request.workspace
        async with contextlib.AsyncExitStack() as stack:
            match origin:
                case FromImage():
                    yield await self._image(origin, workspace)
                case FromTemplate():
                    yield await self._template(origin, workspace, stack)
                case FromAutoLearning() | FromJob(built_in_algorithm=str()):
                    yield Gathered(await stack.enter_async_context(self._source.found(origin.location, workspace)))
                case _:
                    files = await stack.enter_async_context(self._source.found(origin.location, workspace))
                    reading = _Reading({file.path: file for file in files})
                    checked = await to_its_end(functools.partial(check_package, files, reading.read, origin.method))
                    package = Gathered(files, checked=checked, judged=reading.judged)
                    yield await self._pinned(package, workspace) if checked.engine == IMAGE else package

    async def _template(self, origin: FromTemplate, workspace: str, stack: contextlib.AsyncExitStack) -> Gathered:
        plan = self._catalogue.plan(origin.template, origin.inputs, origin.mode)
        found = {
            one.input_id: await stack.enter_async_context(self._source.found(one.location, workspace))
            for one in origin.inputs
        }
        placed = [
            file._replace(path=plan.place(input_id, file.path)) for input_id, files in found.items() for file in files
        ]
        reading = _Reading({file.path: file for file in placed})

        def read(input_id: str, path: str) -> bytes:
            return reading.read(plan.place(input_id, path))

        checked = await to_its_end(functools.partial(check_template_package, plan, found, read))
        return Gathered(
            placed,
            generated=(_generated(CONFIG, plan.config_content),),
            checked=checked,
            allows_batch=plan.allows_batch,
            judged=reading.judged,
        )

    async def _image(self, origin: FromImage, workspace: str) -> Gathered:
        content = await self._image_config(origin, workspace)
        config = await to_its_end(functools.partial(read_config, content, origin.method))
        resolved = await self._images.resolve(origin, workspace)
        if origin.probe and config.health is not None:
            await self._images.probe(resolved.image, config.health.model_dump(), workspace)
        return Gathered(
            generated=(_generated(CONFIG, content), *_documents(resolved)),
            checked=CheckedPackage(config, config.model_type, config.runtime, None, requirements_of(config)),
            image=resolved.image,
        )

    async def _pinned(self, package: Gathered, workspace: str) -> Gathered:
        """A package of an image that its configuration names: with what the registry says of it now."""
        taken = {IMAGE_MANIFEST, IMAGE_CONFIGURATION} & {file.path for file in package.files}
        if taken:
            message = f"the package holds {min(taken)}: expected that place to be free for what the registry says"
            raise Unacceptable(Reason.UNSUPPORTED_FILE, message)
        assert package.checked is not None
        origin = FromImage(image=package.checked.config.swr_location or "")
        resolved = await self._images.resolve(origin, workspace)
        return replace(package, generated=_documents(resolved), image=resolved.image)

    async def _image_config(self, origin: FromImage, workspace: str) -> bytes:
        if origin.config is not None:
            return json.dumps(origin.config, ensure_ascii=False, indent=2).encode() + b"\n"
        async with self._source.found(origin.config_location or "", workspace) as files:
            return await to_its_end(functools.partial(_read, _config_among(files)))


class _Reading:
    """Reads configurations while a package is checked, and keeps what they were."""

    def __init__(self, files: Mapping[str, FoundFile]) -> None:
        self._files = files
        self.judged: dict[str, str] = {}

    def read(self, path: str) -> bytes:
        content = _read(self._files[path])
        self.judged[path] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        return content


def _documents(resolved: ResolvedImage) -> tuple[FoundFile, ...]:
    """What makes another image another package."""
    return (
        _generated(IMAGE_MANIFEST, resolved.manifest),
        _generated(IMAGE_CONFIGURATION, resolved.configuration),
    )


def _config_among(files: Sequence[FoundFile]) -> FoundFile:
    """The configuration at a location: the one file that it names, or config.json of a folder."""
    if len(files) == 1:
        return files[0]
    for path in (CONFIG, "config.json"):
        for file in files:
            if file.path == path:
                return file
    message = f"the location of the configuration holds {len(files)} files and no config.json: expected that file"
    raise Unacceptable(Reason.CONFIG_MISSING, message)


def _read(file: FoundFile) -> bytes:
    """A configuration, as far as one may be long; what is cut off is told by its length."""
    with file.open() as content:
        return content.read(LARGEST_BYTES + 1)


def _generated(path: str, content: bytes) -> FoundFile:
    return FoundFile(path, len(content), functools.partial(_opened, content))


def _opened(content: bytes) -> BinaryIO:
    return io.BytesIO(content)
