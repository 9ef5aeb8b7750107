"""All checks, in the order in which one reads them: causes before what they cause."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cli.doctor import network, queue, secrets, storage
from cli.doctor.findings import Finding
from cli.doctor.subject import Subject

_NETWORK_ADVICE = "check this machine's nameservers and firewall; until then rows are tried again"


@dataclass(frozen=True, slots=True)
class Check:
    """`look` says None where there is nothing to check. `needs` are other checks, without which it cannot be made.

    `advice` is what to do when it is not answered.
    """

    name: str
    look: Callable[[Subject], Finding | None]
    advice: str
    needs: tuple[str, ...] = ()


CHECKS: Sequence[Check] = (
    Check("database", storage.check_database, "start it, or check CONNECTOR_DATABASE_URL"),
    Check("tables", storage.check_tables, "see the database's log", ("database",)),
    Check("redis", queue.check_redis, "start it, or check CONNECTOR_REDIS_URL"),
    Check("broker", queue.check_broker, "start it, or check CONNECTOR_BROKER_URL"),
    Check("workers", queue.check_workers, "see Redis's log", ("redis", "broker")),
    Check("beat", queue.check_beat, "see Redis's and the database's log", ("tables", "workers")),
    Check("rows", storage.check_rows, "see the database's log", ("tables",)),
    Check("database clock", storage.check_database_clock, "see the database's log", ("database",)),
    Check("redis clock", queue.check_redis_clock, "see Redis's log", ("redis",)),
    Check("dns", network.check_dns, "check CONNECTOR_DNS_SERVERS, or this machine's resolver"),
    Check(
        "directory",
        network.health_check(lambda settings: settings.plc_url, network.DIRECTORY_HEALTH),
        _NETWORK_ADVICE,
    ),
    Check(
        "hosted service",
        network.health_check(lambda settings: settings.bluesky_url, network.PDS_HEALTH),
        _NETWORK_ADVICE,
    ),
    Check(
        "dev directory",
        network.health_check(lambda settings: settings.dev_plc_url, network.DIRECTORY_HEALTH),
        "start it, or unset CONNECTOR_DEV_PLC_URL",
    ),
    Check(
        "dev PDS",
        network.health_check(lambda settings: settings.dev_pds_url, network.PDS_HEALTH),
        "start it, or unset CONNECTOR_DEV_PDS_URL",
    ),
    Check("keys", secrets.check_keys, "see docs/adr/0009-key-rotation.md"),
    Check("stored secrets", secrets.check_stored_secrets, "see the database's log", ("tables", "keys")),
    Check("disk", storage.check_disk, "check CONNECTOR_VAR_DIR"),
)
