"""What a service must be told.  No setting has a default that a service would have to guess; none weakens a check."""

from pathlib import Path

from pydantic import AnyHttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment, each name with `ZT_` before it."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: AnyHttpUrl
    """Where the registry is found, `https://host:port`.  Who it is, its certificate says."""
    issuer: AnyHttpUrl
    """The realm's issuer, exactly as it stands in its tokens."""
    host: str
    """The address to listen at."""
    data: Path
    """The folder for this party's journal and store."""
