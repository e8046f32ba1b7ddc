"""A connector's settings: environment (``COMITY_CONNECTOR_*``) and ``connector.toml``, read once; unknown keys refuse."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from hub.errors import UsageError

ENVIRONMENT_PREFIX: Final = "COMITY_CONNECTOR_"


class ConnectorSettings(BaseSettings):
    """All settings of one authority's connector. Paths that are not absolute count from the State's folder."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, case_sensitive=False)

    authority: Annotated[str | None, Field(pattern=r"^[a-z]{2}-[a-z0-9]{2,24}$")] = None  # None: the folder's name
    bootstrap_server: str | None = None  # host:port; None: the local broker of the home folder
    command_config: Path | None = None  # Kafka client properties; None: clients/<authority>.properties
    exchange: Path = Path("exchange")  # the folder contract's root
    objects: Annotated[str | None, Field(repr=False)] = None  # folder or s3://bucket; None: objects of the home folder
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0  # 0: any free port, written to connector.port
    scan_ms: Annotated[int, Field(ge=50, le=600_000)] = 1_000  # how often out/ is scanned
    valid_hours: Annotated[int, Field(ge=1, le=72)] = 72  # exp - iat of a message

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (pydantic's signature)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature; no .env is read)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the same)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file, whose values ``load_settings`` passes."""
        return env_settings, init_settings


def load_settings(path: Path, **arguments: object) -> ConnectorSettings:
    """Read ``connector.toml`` at ``path``, if it is there, and the environment; arguments that are not None go first.

    Raises ``UsageError``: ``setting-unknown``, ``setting-invalid``; it names no value.
    """
    _check_environment()
    try:
        source = TomlConfigSettingsSource(ConnectorSettings, toml_file=path)
        settings = ConnectorSettings(**source())
        given = {name: value for name, value in arguments.items() if value is not None}
        return ConnectorSettings.model_validate({**settings.model_dump(), **given}) if given else settings
    except tomllib.TOMLDecodeError as error:
        raise UsageError("setting-invalid", f"{path} is not TOML; correct it.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError("setting-unknown", f"There is no setting {name}; remove it from {path}.") from None
        raise UsageError("setting-invalid", f"The setting {name} in {path} is not valid: {first['msg']}.") from None
    except SettingsError as error:
        raise UsageError("setting-invalid", f"A setting cannot be read: {error}.") from None


def _check_environment() -> None:
    known = {ENVIRONMENT_PREFIX + name.upper() for name in ConnectorSettings.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith(ENVIRONMENT_PREFIX) and name.upper() not in known:
            raise UsageError("setting-unknown", f"There is no setting {name}; remove it from the environment.")
