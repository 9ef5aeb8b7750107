"""What docker-compose.yml promises of each service, and that it is one by the Compose Specification."""

import json
import re
from importlib.resources import files
from typing import Any

import jsonschema_rs
import pytest

from cli.main import app
from connections.settings import Settings
from tests.deploy.files import compose, procfile
from tests.processes import ROOT

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "connector"}
ONCE = {"keys", "migrate"}


each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_it_is_a_compose_file() -> None:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())

    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(compose())] == []


@each_service
def test_no_service_is_root_or_can_become_it(service: dict[str, Any]) -> None:
    user, group = map(int, service["user"].split(":"))
    assert user > 0
    assert group >= 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"}


@each_service
def test_every_root_is_read_only_and_what_is_written_to_is_a_volume(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert "/tmp" in service["tmpfs"]
    for volume in service.get("volumes", []):
        source, _, mode = re.fullmatch(r"([^:]+):([^:]+)(?::(ro))?", volume).groups()  # type: ignore[union-attr]
        if source.startswith("."):
            assert mode == "ro", volume
            assert (ROOT / source).is_dir(), volume
        else:
            assert source in compose()["volumes"], volume


@each_service
def test_every_service_is_bounded(service: dict[str, Any]) -> None:
    limits = service["deploy"]["resources"]["limits"]
    assert limits.keys() == {"memory", "pids"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@each_service
def test_what_stays_is_started_again_and_tells_whether_it_is_well(service: dict[str, Any]) -> None:
    if service["restart"] == "no":
        assert service["healthcheck"] == {"disable": True}
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"


def test_the_network_reaches_the_api_and_the_dashboard_alone_and_from_this_machine_alone() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published.keys() == {"api", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_database_and_queue_have_a_network_without_a_way_out() -> None:
    assert compose()["networks"]["data"] == {"internal": True}
    assert SERVICES["postgres"]["networks"] == SERVICES["valkey"]["networks"] == ["data"]


def test_a_worker_can_be_scaled() -> None:
    assert not SERVICES["worker"].keys() & {"container_name", "ports", "hostname"}


def test_only_workers_are_given_the_ring_that_opens() -> None:
    holders = {name for name, service in SERVICES.items() if "worker-keys" in str(service.get("volumes"))}
    told = {name for name, service in OURS.items() if "CONNECTOR_KEYS_FILE" in service["environment"]}

    assert holders == told == {"keys", "worker"}
    assert SERVICES["worker"]["volumes"] == ["worker-keys:/keys/worker:ro"]


@pytest.mark.parametrize("service", OURS.values(), ids=OURS)
def test_every_variable_is_a_setting(service: dict[str, Any]) -> None:
    names = {name.removeprefix("CONNECTOR_").lower() for name in service["environment"]}

    assert names <= Settings.model_fields.keys()


def test_procfile_and_compose_run_the_same_commands() -> None:
    listed = procfile()
    assert listed.pop("release") == ["connector", *SERVICES["migrate"]["command"]]
    assert listed == {name: ["connector", *OURS[name]["command"]] for name in OURS.keys() - ONCE}

    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert {words[1] for words in listed.values()} <= known


def test_everything_waits_for_tables_and_keys() -> None:
    for name in OURS.keys() - ONCE:
        assert SERVICES[name]["depends_on"] == {
            "keys": {"condition": "service_completed_successfully"},
            "migrate": {"condition": "service_completed_successfully"},
            "valkey": {"condition": "service_healthy"},
        }


def test_observability_is_asked_for() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"prometheus", "grafana"}
