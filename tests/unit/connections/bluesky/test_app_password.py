import pytest

from connections.bluesky.app_password import tidy


@pytest.mark.parametrize(
    "pasted",
    [
        "abcd-efgh-2345-wxyz",
        " abcd-efgh-2345-wxyz\n",
        "abcd-efgh -2345-wxyz",
        "\u00a0abcd-efgh-2345-wxyz",
        "\u202aabcd-efgh-\u200b2345-wxyz\u202c",
    ],
)
def test_blanks_go_where_an_app_password_remains(pasted: str) -> None:
    password = tidy(pasted)
    assert password.secret == "abcd-efgh-2345-wxyz"
    assert password.hint is None


@pytest.mark.parametrize(
    "pasted",
    [
        " correct horse ",
        "\u202acorrect\u202c",
        "ABCD-EFGH-2345-WXYZ",
        "abcdefgh2345wxyz",
        "abcd-efgh-2345-wxy1",
        "",
        "x" * 512,
    ],
)
def test_anything_else_is_sent_as_it_is_and_explained_when_rejected(pasted: str) -> None:
    password = tidy(pasted)
    assert password.secret == pasted
    assert password.hint is not None


def test_is_never_printed() -> None:
    assert "abcd" not in repr(tidy("abcd-efgh-2345-wxyz"))
