"""The settings of a service.  None weakens a check."""

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
    issuer_at: AnyHttpUrl | None = None
    """Where to connect to for the issuer, if its name does not lead there.  Its certificate proves its name all the
    same."""
    host: str
    """The address to listen on."""
    port: int
    """The port to listen on."""
    data: Path
    """The folder for this party's journal and store."""
