import pytest

from connections import errors
from connections.contract import ErrorSource, Temporality
from connections.errors import ConnectorError


def leaves(error: type[ConnectorError]) -> list[type[ConnectorError]]:
    below = error.__subclasses__()
    return [leaf for child in below for leaf in leaves(child)] if below else [error]


LEAVES = leaves(ConnectorError)


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_every_error_describes_itself(error: type[ConnectorError]) -> None:
    body = error().describe()

    assert body.normalized_code == body.code.lower()
    assert body.message.endswith(".")
    assert "\n" not in body.message
    assert body.is_retriable == (body.error_temporality is not Temporality.PERMANENT)


@pytest.mark.parametrize("error", LEAVES, ids=lambda error: error.__name__)
def test_every_error_stands_in_the_drawing_of_the_tree(error: type[ConnectorError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")


def test_rejected_credentials_and_a_rejected_key_differ_by_their_source() -> None:
    assert errors.Unauthorized().describe().error_source is ErrorSource.UNIPOST
    assert errors.CredentialsRejected().describe().error_source is ErrorSource.PLATFORM


def test_absent_members_are_absent() -> None:
    body = errors.NotFound().describe().model_dump(mode="json", exclude_none=True)

    assert {"hint", "issues", "details", "provider_error", "retry_policy"}.isdisjoint(body)
