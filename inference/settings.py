"""The settings of a real model.  None of them weakens a check."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$"
"""A model's name, as it is passed on."""


class ModelSettings(BaseSettings):
    """Read from the environment, each name prefixed with `ZT_`."""

    model_config = SettingsConfigDict(env_prefix="ZT_", frozen=True)

    model: Annotated[str, Field(pattern=MODEL_NAME)] | None = None
    """The model that is meant by the name `default`, as the server names it (`provider/qwen3:8b`).  Without it, the
    first that the server lists, once it was asked."""
