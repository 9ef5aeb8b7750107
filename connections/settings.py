"""Every setting, read once and checked at the start.

All are optional in development. `load_settings` turns a wrong one into one clear line instead of a stack trace.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from connections.audit import KEPT_DAYS
from connections.rate import Rate
from connections.urls import is_address, is_amqp_url, is_origin, is_postgres_url, is_redis_url


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class SettingsError(Exception):
    """A setting is wrong; the message is one line and names the variable."""


class Settings(BaseSettings):
    """The service's configuration. Environment variables carry the prefix `CONNECTOR_`."""

    model_config = SettingsConfigDict(
        env_prefix="CONNECTOR_", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    env: Environment = Environment.DEVELOPMENT
    var_dir: Path = Field(default=Path("var"), description="Where the embedded database and development keys live.")
    # These URLs can hold a password.
    database_url: str = Field(default="", repr=False, description="SQLAlchemy URL; SQLite under `var_dir` if empty.")
    redis_url: str = Field(default="", repr=False, description="Redis or Valkey; `connector up` starts one if empty.")
    broker_url: str = Field(default="", repr=False, description="RabbitMQ; Redis carries the messages if empty.")
    keys_file: Path | None = Field(default=None, description="The workers' key ring; demanded in production.")
    shim_keys_file: Path | None = Field(
        default=None,
        description="What the API needs of it; beside `keys_file` as `<name>.shim.json` if unset.",
    )
    key_store: str = Field(
        default="", description="`package.module:factory` of a `vault.KeyStore` that takes the place of the key files."
    )
    log_level: str = "INFO"
    log_format: LogFormat | None = Field(default=None, description="`json` in production, `text` elsewhere, if unset.")
    traces: bool = Field(default=False, description="Export traces over OTLP, as the OTEL_ variables say.")

    public_url: str | None = Field(
        default=None, description="Origin at which end users reach the API; links to the hosted form begin with it."
    )
    plc_url: str = "https://plc.directory"
    bluesky_url: str = Field(default="https://bsky.social", description="The hosted service's entryway.")
    dev_pds_url: str | None = Field(
        default=None,
        description="Development only: `.test` handles resolve there, plain http and loopback allowed.",
    )
    dev_plc_url: str | None = Field(
        default=None, description="Development only: a directory that is asked before CONNECTOR_PLC_URL."
    )
    dns_servers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Nameservers as host:port, comma-separated; the system's if empty."
    )

    sync_wait_seconds: float = Field(default=25.0, ge=0, le=60, description="How long a plain connect call waits.")
    attempt_seconds: float = Field(default=15.0, gt=0, le=120, description="Total deadline of one attempt.")
    interactive_task_seconds: float = Field(
        default=120.0, gt=0, le=3600, description="Total deadline of a waited-for task."
    )
    patient_task_seconds: float = Field(
        default=3600.0, gt=0, le=604_800, description="Total deadline of an asynchronous task."
    )
    batch_task_seconds: float = Field(
        default=86_400.0, gt=0, le=604_800, description="Total deadline of a row of a batch, waiting its turn included."
    )
    batch_retry_seconds: float = Field(
        default=900.0,
        gt=0,
        le=604_800,
        description="How long a row of a batch is tried at a server that fails, from its own first failure on.",
    )
    refresh_seconds: float = Field(
        default=86_400.0,
        ge=60,
        le=2_592_000,
        description="How often the session of a connected account is refreshed, which also shows whether it still is.",
    )
    host_budget: Annotated[Rate, NoDecode] = Field(
        default=Rate(3000, 300), description="Requests to one host from one egress address."
    )
    interactive_share: float = Field(
        default=0.2, ge=0, lt=1, description="What of a host's budget callers who wait may have ahead of batches."
    )
    egress_address: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9.:_-]{1,64}$",
        description="Names the address this worker's requests come from; workers with the same one share budgets.",
    )
    worker_threads: int = Field(default=64, ge=1, le=1024)
    task_retention_days: int = Field(default=30, ge=1, le=3650, description="How long a task is kept after its end.")
    audit_retention_days: int = Field(
        default=365, ge=KEPT_DAYS, le=36_500, description="How long an entry of the audit log is kept."
    )
    grace_seconds: float = Field(
        default=20.0, ge=0, le=3600, description="What a worker may take to finish what it has begun."
    )
    drain_seconds: float = Field(
        default=0.0, ge=0, le=300, description="For how long an API that is to end says so in /readyz and goes on."
    )

    max_waiting_callers: int = Field(
        default=10_000, ge=1, le=1_000_000, description="Callers that may wait at one API process, some 23 kB each."
    )
    queue_age_seconds: float = Field(
        default=5.0, gt=0, le=60, description="Nobody more may wait while the oldest message has waited for longer."
    )
    key_requests: Annotated[Rate, NoDecode] = Field(
        default=Rate(30_000, 60), description="Requests of one API key at one API process."
    )
    metrics_host: str = Field(default="127.0.0.1", description="Where a worker and beat serve their metrics.")
    metrics_port: int = Field(default=0, ge=0, le=65_535, description="The port for that; with 0 nothing is served.")

    failed_logins_per_account: Annotated[Rate, NoDecode] = Field(
        default=Rate(10, 900), description="Failed logins to one account, in all workspaces together."
    )
    failed_logins_per_workspace: Annotated[Rate, NoDecode] = Field(
        default=Rate(1000, 3600), description="Failed logins of one workspace."
    )

    @field_validator(
        "failed_logins_per_account", "failed_logins_per_workspace", "host_budget", "key_requests", mode="before"
    )
    @classmethod
    def _read_rate(cls, value: object) -> object:
        return Rate.parse(value) if isinstance(value, str) else value

    @field_validator("dns_servers", mode="before")
    @classmethod
    def _split_servers(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("dns_servers")
    @classmethod
    def _check_servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for server in value:
            if not is_address(server):
                raise ValueError(f"{server!r} is not an address and a port, such as 127.0.0.1:53")
        return value

    @field_validator("public_url", "plc_url", "bluesky_url", "dev_pds_url", "dev_plc_url")
    @classmethod
    def _check_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not is_origin(value):
            raise ValueError("must be an origin such as https://host or https://host:port")
        scheme, host = value.removesuffix("/").split("://")
        return f"{scheme.lower()}://{host}"

    @field_validator("database_url")
    @classmethod
    def _check_database(cls, value: str) -> str:
        if value.startswith(("postgres://", "postgresql://")):
            value = "postgresql+psycopg://" + value.split("://", 1)[1]
        if value and not value.startswith(("postgresql+psycopg://", "sqlite:///")):
            raise ValueError("must start with postgresql:// or sqlite:///")
        if value.startswith("postgresql") and not is_postgres_url(value):
            raise ValueError("must be a URL such as postgresql://user:password@host:5432/name")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://")):
            raise ValueError("must start with redis:// or rediss://")
        if value and not is_redis_url(value):
            raise ValueError("must be a URL such as redis://user:password@host:6379/0")
        return value

    @field_validator("broker_url")
    @classmethod
    def _check_broker(cls, value: str) -> str:
        if value and not value.startswith(("amqp://", "amqps://")):
            raise ValueError("must start with amqp:// or amqps://; unset, CONNECTOR_REDIS_URL is the broker")
        if value and not is_amqp_url(value):
            raise ValueError("must be a URL such as amqps://user:password@host:5671/vhost")
        return value

    @field_validator("key_store")
    @classmethod
    def _check_key_store(cls, value: str) -> str:
        if value and not re.fullmatch(r"\w+(\.\w+)*:\w+", value):
            raise ValueError("must be a module and a factory in it, such as package.module:factory")
        return value

    @field_validator("log_level")
    @classmethod
    def _check_log_level(cls, value: str) -> str:
        if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
            raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @model_validator(mode="after")
    def _check_retention(self) -> Self:
        if self.task_retention_days * 86_400 < self.batch_task_seconds:
            raise ValueError(
                "CONNECTOR_TASK_RETENTION_DAYS must not be shorter than CONNECTOR_BATCH_TASK_SECONDS: rows of a batch "
                "would be deleted before its last one has ended"
            )
        return self

    @model_validator(mode="after")
    def _check_production(self) -> Self:
        if not self.is_production:
            return self
        if self.keys_file is None and self.shim_keys_file is None and not self.key_store:
            raise ValueError("CONNECTOR_KEYS_FILE is required when CONNECTOR_ENV=production")
        if not self.database_url or not self.redis_url:
            raise ValueError(
                "CONNECTOR_DATABASE_URL and CONNECTOR_REDIS_URL are required when CONNECTOR_ENV=production"
            )
        for name, url in (("CONNECTOR_DEV_PDS_URL", self.dev_pds_url), ("CONNECTOR_DEV_PLC_URL", self.dev_plc_url)):
            if url:
                raise ValueError(f"{name} is for development and must be unset when CONNECTOR_ENV=production")
        for name, url in (
            ("CONNECTOR_PLC_URL", self.plc_url),
            ("CONNECTOR_BLUESKY_URL", self.bluesky_url),
            ("CONNECTOR_PUBLIC_URL", self.public_url),
        ):
            if url and not url.startswith("https://"):
                raise ValueError(f"{name} must be https when CONNECTOR_ENV=production")
        return self

    @property
    def logs_json(self) -> bool:
        return self.is_production if self.log_format is None else self.log_format is LogFormat.JSON

    @property
    def is_production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def database(self) -> str:
        """The database URL with the embedded default filled in."""
        return self.database_url or f"sqlite:///{self.var_dir.absolute() / 'connector.db'}"

    @property
    def redis(self) -> str:
        """The Redis URL. Raises `SettingsError` when there is none: only `connector up` can start one."""
        if not self.redis_url:
            raise SettingsError("CONNECTOR_REDIS_URL is not set; `connector up` starts an embedded Valkey by itself")
        return self.redis_url

    @property
    def broker(self) -> str:
        """The URL of what carries the messages. Raises `SettingsError` when there is no Redis, always needed too."""
        redis = self.redis
        return self.broker_url or redis

    @property
    def worker_keys_path(self) -> Path:
        return self.keys_file or self.var_dir / "keys.json"

    @property
    def shim_keys_path(self) -> Path:
        return self.shim_keys_file or self.worker_keys_path.with_suffix(".shim.json")


def load_settings() -> Settings:
    """Reads the environment. Raises `SettingsError` with one line that names what is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        lines = (f"{_variable(problem['loc'])}{_plain(problem['msg'])}" for problem in error.errors())
        raise SettingsError("; ".join(lines)) from None


def _variable(location: tuple[int | str, ...]) -> str:
    return f"CONNECTOR_{str(location[0]).upper()}: " if location else ""


def _plain(message: str) -> str:
    return message.removeprefix("Value error, ")
