"""The settings of a service.  None weakens a check."""

from pathlib import Path
from typing import Annotated

from pydantic import AnyHttpUrl, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from zerotrust.registry.model import ISSUER, Name


class Settings(BaseSettings):
    """Read from the environment, each name prefixed with `ZT_`."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    registry: AnyHttpUrl
    """The registry's address, `https://host:port`.  Its certificate proves its identity."""
    registry_party: Name
    """The registry's name as a party, which its certificate must have."""
    issuer: Annotated[str, Field(pattern=ISSUER)]
    """The issuer, exactly as in the `iss` of its tokens: its text is compared, so it stays as it was written.

    It has neither query nor fragment (RFC 8414 section 2)."""
    issuer_at: AnyHttpUrl | None = None
    """The issuer's address, if its name does not resolve to it.  Its certificate proves its name all the
    same."""
    host: str
    """The address to listen on."""
    port: int
    """The port to listen on."""
    data: Path
    """The folder for this party's journal and store."""
