"""The settings of the console alone.  None of them weakens a check."""

from pathlib import Path

from pydantic import AnyHttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConsoleSettings(BaseSettings):
    """Read from the environment, each name prefixed with `ZT_`."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    jaeger: AnyHttpUrl | None = None
    """Where a browser finds Jaeger.  If it is set, each task has a link to its trace there."""
    thief_socket: Path | None = None
    """The Unix socket of the lab's thief. `make up INTRUDERS=1` and `start/compose.intruders.yaml` set it. Without
    it, no page has a button for the thief."""
