"""The hub's settings: environment (``COMITY_*``) and ``hub.toml``, read once into one frozen object; unknown keys refuse."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from hub.adapters.files.home import Home
from hub.core.limits import BATCH_BYTES_MAX, BATCH_MESSAGES_MAX
from hub.errors import UsageError

ENVIRONMENT_PREFIX: Final = "COMITY_"
# What commands and connectors read under the same prefix; it is not the hub's to judge.
FOREIGN: Final = frozenset({"COMITY_DEBUG", "COMITY_VECTORS", "COMITY_CACHE"})
FOREIGN_PREFIXES: Final = ("COMITY_CONNECTOR_", "COMITY_BROKER_", "COMITY_TEST_")
PROCESSES: Final = ("directory", "router", "registrar", "watch")


def _rising(percents: tuple[int, ...]) -> tuple[int, ...]:
    if list(percents) != sorted(set(percents)):
        raise ValueError("must rise")
    return percents


Port = Annotated[int, Field(ge=0, le=65535, description="0: any free port, written to <home>/logs/<process>.port")]
Percents = Annotated[tuple[Annotated[int, Field(ge=1, le=99)], ...], Field(max_length=5), AfterValidator(_rising)]
Milliseconds = Annotated[int, Field(ge=1, le=600_000)]


class HubSettings(BaseSettings):
    """All settings of the hub's processes. Times are milliseconds."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="forbid", frozen=True, case_sensitive=False)

    home: Path = Path("comity-home")
    bootstrap_server: str | None = None  # None: the local broker of the home folder
    command_config: Path | None = None  # Kafka client properties; None: those of the process in the home folder
    database_url: Annotated[str | None, Field(repr=False)] = None  # None: the SQLite file of the home folder
    worker: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")] = (
        "1"  # a name per worker and machine, kept over restarts
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    health_host: str = "127.0.0.1"
    health_port_directory: Port = 0
    health_port_router: Port = 0
    health_port_registrar: Port = 0
    health_port_watch: Port = 0

    warn_percents: Percents = (50, 80)  # shares of a clock's time at which both sides are warned
    tick_ms: Milliseconds = 500  # how often the watch looks at its clocks

    # router.md section 4: the values that held under kills. transaction < session + start-up of the next owner.
    session_ms: Milliseconds = 6_000
    heartbeat_ms: Milliseconds = 2_000
    transaction_ms: Milliseconds = 10_000
    step_ms: Milliseconds = 8_000
    start_ms: Milliseconds = 30_000
    stop_ms: Milliseconds = 3_000

    batch_messages_max: Annotated[int, Field(ge=1, le=BATCH_MESSAGES_MAX)] = BATCH_MESSAGES_MAX
    batch_bytes_max: Annotated[int, Field(ge=1, le=BATCH_BYTES_MAX)] = BATCH_BYTES_MAX

    @property
    def folder(self) -> Home:
        """The names of the files in the home folder."""
        return Home(self.home)

    def health_port(self, process: str) -> int:
        """The port of the health server of one of ``PROCESSES``."""
        return {
            "directory": self.health_port_directory,
            "router": self.health_port_router,
            "registrar": self.health_port_registrar,
            "watch": self.health_port_watch,
        }[process]

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's signature; no .env is read)
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the same)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments go before the environment, which goes before ``hub.toml``."""
        home = _home(init_settings(), env_settings())
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, toml_file=Home(home).settings)


def _home(*sources: dict[str, Any]) -> Path:
    """Where ``hub.toml`` lies is known before it is read: it cannot name its own folder."""
    return next((Path(source["home"]) for source in sources if source.get("home")), Path("comity-home"))


def load_settings(**arguments: object) -> HubSettings:
    """Read the settings; arguments that are None are left out, the others go first.

    Raises ``UsageError(setting-unknown | setting-invalid)``, naming the setting and never its value.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    _check_environment()
    try:
        return HubSettings(**given)  # type: ignore[arg-type]  # judged by the model itself
    except tomllib.TOMLDecodeError as error:
        raise UsageError("setting-invalid", "hub.toml is not TOML; correct it.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "hub.toml"
        if first["type"] == "extra_forbidden":
            raise UsageError("setting-unknown", f"There is no setting {name}; remove it from hub.toml.") from None
        raise UsageError("setting-invalid", f"The setting {name} is not valid: {first['msg']}.") from None
    except SettingsError as error:
        # Its sentence names the setting and its source, and no value.
        raise UsageError("setting-invalid", f"A setting cannot be read: {error}.") from None


def _check_environment() -> None:
    known = {ENVIRONMENT_PREFIX + name.upper() for name in HubSettings.model_fields} | FOREIGN
    for name in sorted(os.environ):
        upper = name.upper()
        if upper.startswith(ENVIRONMENT_PREFIX) and upper not in known and not upper.startswith(FOREIGN_PREFIXES):
            raise UsageError("setting-unknown", f"There is no setting {name}; remove it from the environment.")
