"""The files of a package, and their bytes."""

from typing import ClassVar

from pydantic import Field

from shared.naming import Digest
from shared.queries.base import Query
from shared.values import File, Value

# Of a file's bytes, one reply holds so many: with its headers it fits into one message of 1 MiB.
LARGEST_READ_BYTES = 512 * 1024


class FilePage(Value):
    files: tuple[File, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class ListFiles(Query):
    """Every file of a package, by path."""

    address: ClassVar[str] = "modelkin.qry.v1.file.list"
    reply: ClassVar[type[Value]] = FilePage

    package_digest: Digest
    after: str | None = Field(default=None, description="a path")
    limit: int = Field(default=1000, ge=1, le=5000)


class FileBytes(Value):
    """The bytes themselves: the body of this reply is no JSON. A QueryFailed has the header `modelkin-error`."""


class ReadBytes(Query):
    """Some bytes of a file of a package, or of its manifest. Asked on `<address>.<workspace>.<reader>`.

    The reader is the service that the grant is bound to, and `~` for a download by a person: so
    the broker can say by subject who may read as which service.
    """

    address: ClassVar[str] = "modelkin.qry.v1.file.read"
    reply: ClassVar[type[Value]] = FileBytes

    grant: str = Field(description="its id")
    digest: Digest
    offset: int = Field(default=0, ge=0)
    size_bytes: int = Field(ge=1, le=LARGEST_READ_BYTES)
