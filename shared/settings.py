"""Settings that every service reads from the environment, once."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Each field is the variable MODELKIN_<FIELD>."""

    model_config = SettingsConfigDict(env_prefix="MODELKIN_", env_ignore_empty=True, frozen=True)

    nats_url: str = Field(default="nats://127.0.0.1:4222", description="where NATS listens")
    mongo_uri: str = Field(default="mongodb://127.0.0.1:27017", description="where MongoDB listens")
    mongo_database: str = Field(
        default="modelkin", description="start of the database names: each service adds its own"
    )
    stop_timeout_s: float = Field(default=15.0, gt=0, description="how long work under way may take after SIGTERM")
    log_format: Literal["console", "json"] = Field(default="console", description="for people or for machines")
    http_port: int | None = Field(
        default=None, ge=1, le=65535, description="serve /healthz, /readyz and /metrics on this port; none: nowhere"
    )
    http_host: str = Field(default="127.0.0.1", min_length=1, description="the address that they are served on")
    otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://[^/@\s]+[^@\s?#]*$",
        description="send traces there by OTLP over HTTP, such as http://collector:4318; none: none are made",
    )
