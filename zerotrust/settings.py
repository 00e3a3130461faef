"""The settings of a service.  None has a default, and none weakens a check."""

from pathlib import Path

from pydantic import AnyHttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from zerotrust.registry.model import Name


class Settings(BaseSettings):
    """Read from the environment, each name prefixed with `ZT_`."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: AnyHttpUrl
    """The registry's address, `https://host:port`.  Its certificate proves its identity."""
    registry_party: Name
    """The registry's name as a party, which its certificate must have."""
    issuer: AnyHttpUrl
    """The realm's issuer, exactly as in the `iss` of its tokens."""
    host: str
    """The address to listen on."""
    port: int
    """The port to listen on."""
    data: Path
    """The folder for this party's journal and store."""
