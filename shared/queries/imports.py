"""What became of a request to import, and what there is to import."""

from typing import ClassVar, Literal

from pydantic import Field

from shared.naming import DEFAULT_WORKSPACE
from shared.queries.base import PAGE, Query
from shared.templates import Template
from shared.values import Reason, Value


class ImportStatus(Value):
    """What became of an import that reached the registry."""

    import_id: str
    workspace: str
    model: str
    status: Literal["publishing", "published", "failed", "deleted"]
    version: str | None = None
    reason: Reason | None = None
    message: str | None = None


class GetImport(Query):
    address: ClassVar[str] = "modelkin.qry.v1.import.get"
    reply: ClassVar[type[Value]] = ImportStatus

    workspace: str | None = Field(default=None, description="only if it is of this workspace")
    import_id: str


class JobVersion(Value):
    version: str
    location: str = Field(description="the folder above its `model`")
    imported: bool = Field(description="whether this version of the job has been imported as the model")


class JobVersions(Value):
    versions: tuple[JobVersion, ...]
    next: str | None = Field(default=None, description="ask again with this as `after`; null on the last page")


class ListJobVersions(Query):
    """The versions of a training job that lie below a location: folders V001, V002, … by number."""

    address: ClassVar[str] = "modelkin.qry.v1.job.list"
    reply: ClassVar[type[Value]] = JobVersions

    workspace: str = DEFAULT_WORKSPACE
    model: str
    job: str
    location: str
    after: str | None = Field(default=None, description="a version of the job")
    limit: int = Field(default=PAGE, ge=1, le=PAGE)


class TemplatePage(Value):
    templates: tuple[Template, ...]


class ListTemplates(Query):
    """Templates to import with, by id. Each filter that is left out lets all pass."""

    address: ClassVar[str] = "modelkin.qry.v1.template.list"
    reply: ClassVar[type[Value]] = TemplatePage

    type: str | None = None
    engine: str | None = None
    environment: str | None = None
    word: str | None = Field(default=None, description="somewhere in what the template says of itself")


class GetTemplate(Query):
    address: ClassVar[str] = "modelkin.qry.v1.template.get"
    reply: ClassVar[type[Value]] = Template

    template: str = Field(description="its id")
