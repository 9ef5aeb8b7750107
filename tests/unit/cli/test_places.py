"""Where things are, without what nobody else may know."""

import pytest

from cli.places import broker_place, database_place, redis_place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql+psycopg://bob:s3cret@db.example:5433/connector?sslmode=require", "db.example:5433/connector"),
        ("postgresql+psycopg://bob:s3:cr/et@db.example/connector", "db.example/connector"),
        ("postgresql+psycopg://db.example/connector?user=bob&password=s3cret", "db.example/connector"),
        ("postgresql+psycopg://bob:s3cret@/connector?host=/run/postgres", "/run/postgres/connector"),
        ("postgresql+psycopg://bob:s3cret@/connector", "a local socket/connector"),
        ("sqlite:////srv/connector.db", "/srv/connector.db"),
    ],
)
def test_a_database(url: str, place: str) -> None:
    assert database_place(url) == place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:s3cret@cache.example:6380/2", "cache.example:6380/2"),
        ("rediss://bob:s3%40cret@cache.example", "cache.example:6379/0"),
        ("redis://cache.example/1?password=s3cret", "cache.example:6379/1"),
    ],
)
def test_a_queue(url: str, place: str) -> None:
    assert redis_place(url) == place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("amqp://bob:s3cret@rabbit.example:5673/accounts", "rabbit.example:5673/accounts"),
        ("amqps://bob:s3%40cret@rabbit.example/a%2Fb", "rabbit.example:5671/a/b"),
        ("amqp://rabbit.example", "rabbit.example:5672/"),
    ],
)
def test_a_broker(url: str, place: str) -> None:
    assert broker_place(url) == place
