"""Questions to the services and their replies, over NATS request and reply.

    modelkin.qry.v1
    ├── model.list, model.get        registry
    ├── version.list, version.get    registry
    ├── version.best                 registry: the best version of a model by a metric
    ├── alias.list, history.get      registry: where aliases point, what changed and who did it
    ├── deployment.get               registry: what a service serves
    ├── grant.get                    registry: whether bytes may be read
    ├── import.get                   registry: what became of a request
    ├── job.list                     importer: the versions of a training job at a location
    ├── template.list, template.get  importer
    ├── file.list, file.read         importer: the files of a package, and with a grant their bytes
    ├── lineage.get                  versioning
    ├── lineage.affected             versioning: what hangs on a dataset, a job or a version
    └── service
        ├── ping.<service>           each service: it runs and reaches its store
        └── examine.<service>        every process of a service: what it finds of itself

A question whose body says a workspace is answered on `<address>.<workspace>` too, and there for that workspace alone.
A question that cannot be answered is replied to with `QueryFailed`, told apart by its `error`.
"""

from shared.queries.base import ERROR_HEADER, LARGEST_REPLY_BYTES, PAGE, Query, QueryFailed, fitting, is_of_workspace
from shared.queries.deployments import GetGrant, GetService, GrantDetails, ServiceDetails
from shared.queries.files import LARGEST_READ_BYTES, FileBytes, FilePage, ListFiles, ReadBytes
from shared.queries.imports import (
    GetImport,
    GetTemplate,
    ImportStatus,
    JobVersion,
    JobVersions,
    ListJobVersions,
    ListTemplates,
    TemplatePage,
)
from shared.queries.lineage import AffectedPage, AffectedVersion, GetAffected, GetLineage, LineageGraph, LineageVersion
from shared.queries.listing import (
    MOST_SKIPPED,
    BestVersions,
    Filters,
    FindBest,
    GetModel,
    ListModels,
    ListVersions,
    ModelPage,
    ModelSummary,
    Page,
    RankedVersion,
    Status,
    VersionPage,
    VersionSummary,
)
from shared.queries.services import SERVICES, Examination, Examine, Finding, Ping, Pong
from shared.queries.versions import (
    AliasPage,
    AliasState,
    Deletion,
    Deployed,
    GetHistory,
    GetVersion,
    HistoryEntry,
    HistoryPage,
    Lift,
    ListAliases,
    Release,
    VersionDetails,
)

__all__ = [
    "ERROR_HEADER",
    "LARGEST_READ_BYTES",
    "LARGEST_REPLY_BYTES",
    "MOST_SKIPPED",
    "PAGE",
    "QUERIES",
    "SERVICES",
    "AffectedPage",
    "AffectedVersion",
    "AliasPage",
    "AliasState",
    "BestVersions",
    "Deletion",
    "Deployed",
    "Examination",
    "Examine",
    "FileBytes",
    "FilePage",
    "Filters",
    "FindBest",
    "Finding",
    "GetAffected",
    "GetGrant",
    "GetHistory",
    "GetImport",
    "GetLineage",
    "GetModel",
    "GetService",
    "GetTemplate",
    "GetVersion",
    "GrantDetails",
    "HistoryEntry",
    "HistoryPage",
    "ImportStatus",
    "JobVersion",
    "JobVersions",
    "Lift",
    "LineageGraph",
    "LineageVersion",
    "ListAliases",
    "ListFiles",
    "ListJobVersions",
    "ListModels",
    "ListTemplates",
    "ListVersions",
    "ModelPage",
    "ModelSummary",
    "Page",
    "Ping",
    "Pong",
    "Query",
    "QueryFailed",
    "RankedVersion",
    "ReadBytes",
    "Release",
    "ServiceDetails",
    "Status",
    "TemplatePage",
    "VersionDetails",
    "VersionPage",
    "VersionSummary",
    "fitting",
    "is_of_workspace",
]

QUERIES: tuple[type[Query], ...] = (
    ListModels,
    GetModel,
    ListVersions,
    GetVersion,
    FindBest,
    ListAliases,
    GetHistory,
    GetService,
    GetGrant,
    GetImport,
    ListJobVersions,
    ListTemplates,
    GetTemplate,
    ListFiles,
    ReadBytes,
    GetLineage,
    GetAffected,
    Ping,
    Examine,
)
