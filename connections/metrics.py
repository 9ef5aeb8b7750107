"""What Prometheus sees of every process: itself, its version, its connections to the database."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy.pool import QueuePool

from connections.db import Database
from connections.logs import ProcessName

Read = Callable[[], float]


def process_registry(process: ProcessName) -> CollectorRegistry:
    """A registry of its own, so that two apps in one process (tests) do not share their numbers."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    Info("connector_build", "What runs here.", registry=registry).info(
        {"version": version("connector"), "process": process}
    )
    return registry


class ReadOnScrape(Collector):
    """Figures that somebody keeps anyway, read when they are asked for: nothing is paid for them in between."""

    def __init__(
        self,
        family: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        label: str,
        figures: Mapping[str, Read],
    ) -> None:
        """One sample for each value of the label; `name` without `_total`."""
        self._family, self._name, self._text, self._label = family, name, text, label
        self._figures = figures

    def describe(self) -> Iterator[Metric]:
        yield self._family(self._name, self._text, labels=[self._label])

    def collect(self) -> Iterator[Metric]:
        metric = self._family(self._name, self._text, labels=[self._label])
        for value, read in self._figures.items():
            metric.add_metric([value], read())
        yield metric


def database_connections(database: Database) -> ReadOnScrape:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    return ReadOnScrape(
        GaugeMetricFamily,
        "connector_database_connections",
        "Connections to the database.",
        "state",
        {"in_use": pool.checkedout, "idle": pool.checkedin},
    )
