"""The example for Kubernetes keeps what compose keeps, and scales what it deploys."""

from typing import Any

from connections.settings import Settings
from tests.deploy.files import SCALING, WORKER, compose, read_yaml

DEPLOYMENT: dict[str, Any] = read_yaml(WORKER)
POD: dict[str, Any] = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
SCALED: dict[str, Any] = read_yaml(SCALING)["spec"]


def test_it_is_not_root_and_cannot_become_it() -> None:
    user, group = compose()["services"]["worker"]["user"].split(":")
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert [str(POD["securityContext"][name]) for name in ("runAsUser", "runAsGroup")] == [user, group]
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in CONTAINER["volumeMounts"] if not mount.get("readOnly")} == {"/tmp"}


def test_a_worker_has_time_to_end_by_itself() -> None:
    assert POD["terminationGracePeriodSeconds"] > Settings().grace_seconds + 15


def test_it_is_asked_whether_it_lives_where_it_serves_its_metrics() -> None:
    variables = {each["name"]: each["value"] for each in CONTAINER["env"]}
    (port,) = CONTAINER["ports"]

    assert variables["CONNECTOR_METRICS_PORT"] == str(port["containerPort"])
    for probe in ("livenessProbe", "startupProbe"):
        assert CONTAINER[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    names = {name.removeprefix("CONNECTOR_").lower() for name in variables}
    assert names <= Settings.model_fields.keys()


def test_labels_select_what_the_template_makes() -> None:
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == DEPLOYMENT["spec"]["template"]["metadata"]["labels"]


def test_the_number_of_workers_is_one_files_business() -> None:
    """A number in the Deployment would be set anew with each change of it."""
    assert "replicas" not in DEPLOYMENT["spec"]
    assert SCALED["scaleTargetRef"] == {"name": DEPLOYMENT["metadata"]["name"]}
    assert 1 <= SCALED["minReplicaCount"] <= SCALED["fallback"]["replicas"] <= SCALED["maxReplicaCount"]
