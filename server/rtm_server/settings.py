"""Settings of the server's processes: `RTM_*` variables, or `rtm.toml` beside the data."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)


def default_data_dir() -> Path:
    """Where the platform keeps what it writes, unless told otherwise."""
    return Path.home() / ".local" / "share" / "homestretch"


class Settings(BaseSettings):
    """One object a process. Secrets come from files, never from arguments.

    database_url: PostgreSQL of a real server; None = the embedded one. The application's sign-in.
    database_owner_url: the sign-in that owns the tables, for migrations only; None = database_url.
    mqtt_url: `mqtt://user:password@host:1883` or `mqtts://`; None = the embedded broker.
    data_dir: everything written to disk, 0700.
    master_key_file: 32 bytes, hex, 0600; None = `master.key` in data_dir, made at first use.
    pgbin: folder of the PostgreSQL programs for the embedded server.
    timescale: make the chunk table a hypertable when migrating, where the extension is there.
    http_host, http_port: of the pages.
    ingest_batch, ingest_wait_s: at most so many items, or so long, in one commit.
    worker_concurrency: analyses at once in one worker process.
    """

    model_config = SettingsConfigDict(env_prefix="RTM_", toml_file="rtm.toml", extra="ignore", frozen=True)

    database_url: str | None = None
    database_owner_url: str | None = None
    mqtt_url: str | None = None
    data_dir: Path = Field(default_factory=default_data_dir)
    master_key_file: Path | None = None
    pgbin: Path | None = None
    timescale: bool = False
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    ingest_batch: int = Field(default=1000, ge=1, le=10_000)
    ingest_wait_s: float = Field(default=0.05, ge=0.0, le=5.0)
    worker_concurrency: int = Field(default=1, ge=1, le=64)

    @property
    def master_key_path(self) -> Path:
        """Where the master key is read from."""
        return self.master_key_file or self.data_dir / "master.key"

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
