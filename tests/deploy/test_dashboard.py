"""The dashboard as Grafana is given it: rows in their order, panels that do not overlap, and one data source."""

from itertools import combinations
from typing import Any

from tests.deploy.files import DASHBOARD, DASHBOARDS, DATASOURCES, compose, panels, read_yaml

PANELS = panels()
GRAPHS = [panel for panel in PANELS if panel["type"] != "row"]


def test_it_has_a_row_for_each_question() -> None:
    assert [panel["title"] for panel in PANELS if panel["type"] == "row"] == [
        "Callers",
        "Queues and age",
        "Attempts by cause",
        "Upstream",
        "Budgets",
        "Workers and pools",
        "Batches",
        "Sessions",
        "Sessions kept alive",
        "Webhooks",
    ]


def test_every_panel_has_a_number_and_a_title_of_its_own_within_its_row() -> None:
    numbers = [panel["id"] for panel in PANELS]
    assert len(set(numbers)) == len(numbers)
    assert all(panel["title"] for panel in PANELS)


def test_no_panel_covers_another() -> None:
    assert [(a["title"], b["title"]) for a, b in combinations(PANELS, 2) if overlap(a["gridPos"], b["gridPos"])] == []
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def overlap(a: dict[str, int], b: dict[str, int]) -> bool:
    return all(a[at] < b[at] + b[size] and b[at] < a[at] + a[size] for at, size in (("x", "w"), ("y", "h")))


def test_every_series_has_a_unit_and_a_name() -> None:
    for panel in GRAPHS:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]), panel["title"]


def test_it_asks_the_source_that_is_provisioned() -> None:
    (source,) = read_yaml(DATASOURCES)["datasources"]

    assert {(panel["datasource"]["type"], panel["datasource"]["uid"]) for panel in GRAPHS} == {
        (source["type"], source["uid"])
    }
    assert source["url"] == "http://prometheus:9090"


def test_grafana_finds_it() -> None:
    (provider,) = read_yaml(DASHBOARDS)["providers"]
    grafana: dict[str, Any] = compose()["services"]["grafana"]

    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in grafana["volumes"]
    assert grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{folder}/{DASHBOARD.name}"
