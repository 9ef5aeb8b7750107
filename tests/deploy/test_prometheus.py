"""Alerts and scrape configuration: they name what exists, and each alert says what to do."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import chain
from typing import Any

import promql_parser
import pytest

from connections.settings import Settings
from tests.deploy.files import ALERTS, ALERTS_TEST, OPERATIONS, PROMETHEUS, alert_rules, compose, expressions, read_yaml
from tests.deploy.metrics import COUNTERS_AND_GAUGES, HISTOGRAMS, series

RULES = {rule["alert"]: rule for rule in alert_rules()}
EXPRESSIONS = dict(expressions())
SERIES = series()

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@pytest.mark.parametrize("text", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_every_expression_names_metrics_and_labels_that_exist(text: str) -> None:
    names, labels = set[str](), set[str]()
    for node in nodes(promql_parser.parse(text)):
        if isinstance(node, promql_parser.VectorSelector):
            names.add(str(node.name))
            labels |= {matcher.name for matcher in node.matchers.matchers}
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            labels |= set(node.modifier.labels)

    assert names
    assert names <= SERIES.keys()
    assert labels <= set(chain.from_iterable(SERIES[name] for name in names))


def test_every_metric_is_looked_at() -> None:
    """What nobody looks at need not be measured."""
    text = "\n".join(EXPRESSIONS.values())
    unseen = {name for name in (*COUNTERS_AND_GAUGES, *HISTOGRAMS) if not re.search(rf"\b{name}(_bucket)?\b", text)}

    assert unseen <= {"process_open_fds"}


@each_rule
def test_an_alert_waits_and_says_how_bad_it_is(rule: dict[str, Any]) -> None:
    assert re.fullmatch(r"[1-9]\d*m", rule["for"])
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"].endswith(".")


@each_rule
def test_an_alert_leads_to_its_entry_in_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    (section,) = re.findall(r"^## Alerts\n(.*?)^## ", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)

    assert re.findall(r"^### (.+)$", section, re.MULTILINE) == [*RULES]


def test_the_runbook_tells_of_every_metric() -> None:
    (section,) = re.findall(r"^## Metrics\n(.*?)^## ", OPERATIONS.read_text(), re.MULTILINE | re.DOTALL)
    told = {
        name: set(filter(None, labels.strip("{}").split(",")))
        for name, labels in re.findall(r"`(connector_\w+)(\{[\w,]+\})?`", section)
    }
    known = {**COUNTERS_AND_GAUGES, **HISTOGRAMS}

    assert told == {name: labels for name, labels in known.items() if name.startswith("connector_")}


def test_a_task_that_is_still_tried_is_not_stuck() -> None:
    (seconds,) = re.findall(r"> (\d+)$", RULES["ConnectorTaskStuck"]["expr"])

    assert int(seconds) > Settings().patient_task_seconds + Settings().attempt_seconds + 15


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    cases = [case for test in read_yaml(ALERTS_TEST)["tests"] for case in test["alert_rule_test"]]
    fires = {case["alertname"] for case in cases if case.get("exp_alerts")}
    rests = {case["alertname"] for case in cases if not case.get("exp_alerts")}

    assert fires == rests == RULES.keys()


@pytest.mark.parametrize(
    "arguments",
    [["check", "config", PROMETHEUS], ["check", "rules", "--lint=all", ALERTS], ["test", "rules", ALERTS_TEST]],
    ids=["config", "rules", "cases"],
)
def test_prometheus_agrees(arguments: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool here; it comes with Prometheus")
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_process_is_scraped_where_it_serves_its_metrics() -> None:
    services = compose()["services"]
    jobs = {job["job_name"]: job for job in read_yaml(PROMETHEUS)["scrape_configs"]}

    assert {name: list(targets(job)) for name, job in jobs.items()} == {
        "connector-api": [("api", 8000)],
        "connector-worker": [("worker", 9464)],
        "connector-beat": [("beat", 9464)],
    }
    for name, port in chain.from_iterable(map(targets, jobs.values())):
        assert set(services[name]["networks"]) & set(services["prometheus"]["networks"])
        assert services[name]["environment"].get("CONNECTOR_METRICS_PORT", "8000") == str(port)


def targets(job: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Host names and ports; of a name that DNS has several addresses for, all of them are scraped."""
    for config in job.get("dns_sd_configs", []):
        assert config["type"] == "A"
        yield from ((name, config["port"]) for name in config["names"])
    for config in job.get("static_configs", []):
        for target in config["targets"]:
            host, port = target.split(":")
            yield host, int(port)


def test_jobs_have_the_names_that_the_alerts_know() -> None:
    known = set(re.findall(r'absent\(up\{job="([\w-]+)"\}\)', RULES["ConnectorProcessMissing"]["expr"]))

    assert known == {job["job_name"] for job in read_yaml(PROMETHEUS)["scrape_configs"]}


def nodes(expression: promql_parser.Expr) -> list[promql_parser.Expr]:
    """The expression and all that it is made of."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(expression, found.append)
    return found
