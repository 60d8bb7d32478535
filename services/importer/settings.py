"""Settings of the importer."""

import os
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.importer.domain import UnsafePolicy
from services.importer.network.hosts import ANY_HOST, Hosts
from services.importer.under_way.places import MOST_GIVEN_OUT
from shared.naming import NAME_RULE, is_name
from shared.settings import ServiceSettings

TEBIBYTE = 2**40
GIBIBYTE = 2**30


class Policies(NamedTuple):
    """What becomes of unsafe files, by workspace."""

    others: UnsafePolicy = UnsafePolicy.REFUSE
    by_workspace: tuple[tuple[str, UnsafePolicy], ...] = ()

    def of(self, workspace: str) -> UnsafePolicy:
        return dict(self.by_workspace).get(workspace, self.others)


class ImporterSettings(ServiceSettings):
    """Each field is the variable MODELKIN_<FIELD>."""

    artifacts: str = Field(
        min_length=1,
        description="the artifact store: a folder, or s3://, obs://, gs:// or az:// with bucket and prefix",
    )
    allowed_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description=f"folders that file:// locations may lie in, '{os.pathsep}' between them; none: refuse all",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="hosts, addresses and ranges (host, host:port, 10.0.0.5, 10.0.0.0/8) that http(s):// locations may"
        " be on, ',' between them; *: all outside of private networks; none: refuse all",
    )
    allowed_registries: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(ANY_HOST,),
        description="likewise those that images and the tokens for them may come from; insecure_registries are too",
    )
    secrets: Path | None = Field(
        default=None, description="folder with <workspace>.json: credentials of object stores and image registries"
    )
    templates: Path | None = Field(default=None, description="folder with templates beside the built-in ones")
    spool: Path | None = Field(
        default=None, description="folder for what must be on disk for a while; none: the system's for temporary files"
    )
    unsafe_files: Annotated[Policies, NoDecode] = Field(
        default=Policies(),
        description="refuse, quarantine or allow files that loading would run code of; other workspaces: ,NAME=POLICY …",
    )
    registry_ca: Path | None = Field(
        default=None, description="certificates (PEM) of a CA to trust image registries by"
    )
    insecure_registries: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="image registries spoken to without TLS, ',' between them; this machine's always are"
    )
    docker_host: str | None = Field(
        default=None,
        description="the Docker engine that images are probed with; none: DOCKER_HOST, or the usual socket",
    )
    probe_image: str = Field(
        default="modelkin:local",
        description="an image with python, from which the health URL of a probed one is called",
    )
    max_files: int = Field(default=100_000, ge=1, description="most files in one package")
    max_package_bytes: int = Field(default=TEBIBYTE, ge=1, description="most bytes in one package")
    max_event_bytes: int = Field(
        default=256 * 1024,
        ge=1024,
        le=768 * 1024,
        description="most bytes in the body of a request; it is said again beside what is found, in events of at most 1 MiB",
    )
    max_imports_per_workspace: int = Field(
        default=MOST_GIVEN_OUT,
        ge=1,
        le=MOST_GIVEN_OUT,
        description="imports of one workspace under way at once, over all processes, more are refused; the default is"
        " what the stream gives out at once, so nothing is counted: below it, an import costs two writes more",
    )
    concurrent_imports: int = Field(
        default=16, ge=1, le=256, description="imports of each kind of request under way at once in this process"
    )
    large_package_bytes: int = Field(
        default=GIBIBYTE,
        ge=1,
        description="from so many bytes on, a package is large, and so is an archive to be fetched",
    )
    concurrent_large_imports: int = Field(
        default=4,
        ge=1,
        le=64,
        description="large imports under way at once in this process, at most half of concurrent_imports; more wait in the stream",
    )
    concurrent_files: int = Field(default=8, ge=1, le=64, description="files of one import that are copied at once")
    inspect_timeout_s: float = Field(default=300.0, gt=0, description="how long the files of one package are inspected")

    @property
    def large_at_once(self) -> int:
        """So that large imports of one kind leave lanes of that kind free; a single lane they must share."""
        return min(self.concurrent_large_imports, max(1, self.concurrent_imports // 2))

    @field_validator("allowed_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("allowed_hosts", "allowed_registries", "insecure_registries", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts", "allowed_registries", "insecure_registries")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        Hosts(value, "")
        return value

    @field_validator("unsafe_files", mode="before")
    @classmethod
    def _read_policies(cls, value: object) -> object:
        return _policies(value) if isinstance(value, str) else value


def _policies(text: str) -> Policies:
    """`refuse,research=quarantine`: first what holds for all, then the workspaces with another."""
    first, *rest = (part.strip() for part in text.split(","))
    by_workspace = []
    for part in rest:
        workspace, _, policy = part.partition("=")
        if not is_name(workspace):
            raise ValueError(f"workspace {workspace!r}: expected {NAME_RULE}")
        by_workspace.append((workspace, _policy(policy)))
    return Policies(_policy(first), tuple(by_workspace))


def _policy(text: str) -> UnsafePolicy:
    try:
        return UnsafePolicy(text)
    except ValueError:
        raise ValueError(f"{text!r}: expected one of {', '.join(UnsafePolicy)}") from None
