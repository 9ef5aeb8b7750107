"""Files that are there whole or not at all."""

import stat
from pathlib import Path

import pytest

from cli.failures import CommandFailed
from cli.replacing import replacing


def test_the_old_one_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("old")

    with replacing(path) as file:
        file.write("new\r\n")
        assert path.read_text() == "old"

    assert path.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, CommandFailed])
def test_half_a_file_is_thrown_away(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "results.csv"
    path.write_text("old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write("new")
            raise error

    with pytest.raises(error):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "none" / "results.csv"
    with (
        pytest.raises(CommandFailed, match=r"results\.csv cannot be written: No such file or directory"),
        replacing(path),
    ):
        pass
