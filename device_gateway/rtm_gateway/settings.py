"""Settings of `rtm gateway`: `RTM_*` variables, or `rtm.toml` in the working directory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError


class GatewaySettingsError(ValueError):
    """Settings that cannot be used; the message is one plain sentence that names the variable."""


class SensorSettings(BaseModel):
    """One sensor of this home.

    sensor: its id on the server. address: Bluetooth address; or name: what it advertises. profile: the
    driver (`homestretch`, `polar-pmd`, ...). placement: where it is worn. serial: bound identity; another
    sensor at this address is refused. exercise: of recordings that this sensor opens (its button, movement, its
    memory); None: the gateway's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sensor: UUID
    profile: str = "homestretch"
    placement: str = Field(pattern="^[a-z_]{1,64}$")
    address: str | None = None
    name: str | None = None
    serial: str | None = None
    exercise: str | None = Field(default=None, min_length=1, max_length=64)


def twice(sensors: Sequence[SensorSettings]) -> str | None:
    """What stands at two sensors and would mix them: sensor, address or name; None where nothing does."""
    for what in ("sensor", "address", "name"):
        given = [str(getattr(each, what)).lower() for each in sensors if getattr(each, what) is not None]
        if len(set(given)) != len(given):
            return what
    return None


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "homestretch" / "gateway"


class GatewaySettings(BaseSettings):
    """Everything a gateway is told.

    tenant, gateway: ids from the server. mqtt_url: `mqtt://user:password@host:1883` or `mqtts://`; None =
    collect and keep, send nothing. mqtt_ca, mqtt_certificate, mqtt_key: PEM files of the TLS connection.
    data_dir: the outbox, bonds and (unless key_file names another place) the outbox's key. radio: `native`,
    or `bumble:` and a bumble transport. sensors: the wearables of this home. exercise: what a recording is of
    when nobody says otherwise. open_on_motion: movement alone opens a recording. outbox_limit_mb: most that
    may wait for the server. status_port, status_host: of the status page; without a port there is none, and
    only this machine reaches it unless told otherwise.
    """

    model_config = SettingsConfigDict(
        env_prefix="RTM_", toml_file="rtm.toml", extra="ignore", frozen=True, env_nested_delimiter="__"
    )

    tenant: UUID
    gateway: UUID
    mqtt_url: str | None = None
    mqtt_ca: Path | None = None
    mqtt_certificate: Path | None = None
    mqtt_key: Path | None = None
    data_dir: Path = Field(default_factory=_default_data_dir)
    key_file: Path | None = None
    radio: str = "native"
    sensors: tuple[SensorSettings, ...] = ()
    exercise: str | None = None
    open_on_motion: bool = True
    outbox_limit_mb: int = Field(default=2048, ge=1)
    status_port: int | None = Field(default=None, ge=0, le=65535)
    status_host: str = "127.0.0.1"

    def __init__(self, **values: Any) -> None:
        """Raises GatewaySettingsError, where pydantic would give a page."""
        try:
            super().__init__(**values)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = "__".join(str(part) for part in first["loc"]).upper()
            what = f"RTM_{place}" if place else "The gateway's settings"
            raise GatewaySettingsError(f"{what}: {first['msg']}.") from error
        except SettingsError as error:
            raise GatewaySettingsError(f"The gateway's settings: {error}.") from error

    @property
    def key_path(self) -> Path:
        """Where the outbox's key is."""
        return self.key_file or self.data_dir / "outbox.key"

    def model_post_init(self, context: Any, /) -> None:
        """Ids and addresses that stand twice are a mistake that would mix two sensors."""
        super().model_post_init(context)
        what = twice(self.sensors)
        if what is not None:
            raise ValueError(f"two sensors have the same {what}")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
