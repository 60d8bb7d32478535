"""Settings of the registry."""

from pydantic import Field

from shared.settings import ServiceSettings

DAY_S = 86_400


class RegistrySettings(ServiceSettings):
    """Each field is the variable MODELKIN_<FIELD>."""

    grant_lifetime_s: int = Field(
        default=900, gt=0, le=DAY_S, description="how long a download or a deployment may read the bytes of a version"
    )
