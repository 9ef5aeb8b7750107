"""The file of accounts, as the command line holds it."""

from pathlib import Path

import pytest

from cli.importing.access import Access
from cli.importing.accounts_file import AccountsFile

PASSWORD = "abcd-efgh-2345-wxyz"


def check(path: Path, text: str) -> AccountsFile:
    path.write_bytes(text.encode())
    return AccountsFile.check(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
def test_columns_of_all_kinds(tmp_path: Path, delimiter: str) -> None:
    lines = ["\ufeffNote,Password, Identifier ,,Note", f"a,{PASSWORD},alice.test,x,b", " ", f"c,{PASSWORD},bob.test"]
    file = check(tmp_path / "accounts.csv", "\r\n".join(lines).replace(",", delimiter))

    assert (file.count, file.columns) == (2, ["Note", " Identifier ", "Note"])
    assert [(row.line, row.cells) for row in file.rows()] == [
        (2, ("a", "alice.test", "b")),
        (4, ("c", "bob.test", "")),
    ]


def test_a_row_with_too_much_in_it_is_still_a_row(tmp_path: Path) -> None:
    """The service rejects it alone."""
    file = check(tmp_path / "accounts.csv", f"handle,password\nalice.test,{PASSWORD},{PASSWORD}\n")
    assert [row.cells for row in file.rows()] == [("alice.test",)]


def test_the_same_accounts_are_told_from_others(tmp_path: Path) -> None:
    def digest(*handles: str, password: str = PASSWORD, name: str = "handle") -> str:
        rows = "".join(f"{handle},{password}\n" for handle in handles)
        return check(tmp_path / "accounts.csv", f"{name},password\n{rows}").digest

    known = digest("alice.test", "bob.test")
    assert digest("alice.test", "bob.test", password="other", name="identifier") == known
    assert len({known, digest("bob.test", "alice.test"), digest("alice.testbob.test"), digest("alice.test")}) == 4


def test_no_secret_shows(tmp_path: Path) -> None:
    file = check(tmp_path / "accounts.csv", f"handle,password,note\nalice.test,{PASSWORD},private\n")
    [row] = file.rows()
    shown = repr([file, row, Access("http://127.0.0.1", "up_test_key")])
    for secret in (PASSWORD, "private", "up_test_key"):
        assert secret not in shown
