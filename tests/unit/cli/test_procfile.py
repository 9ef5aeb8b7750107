"""What a Procfile may say, and how a mistake in it is told."""

import sys
from pathlib import Path

import pytest

from cli.failures import CommandFailed
from cli.procfile import read_procfile


def procfile(folder: Path, text: str) -> Path:
    path = folder / "Procfile"
    path.write_text(text)
    return path


def test_processes_keep_their_order_and_the_release_is_not_one(tmp_path: Path) -> None:
    path = procfile(tmp_path, "# why\n\nrelease: sh -c migrate\nworker: sh -c 'a b'\n  web-1 :  sh\n")

    found = read_procfile(path)

    assert [*found] == ["worker", "web-1"]
    assert found["worker"][1:] == ["-c", "a b"]
    assert Path(found["web-1"][0]).name == "sh"


def test_programs_of_our_own_environment_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interpreter = Path(sys.executable)
    stranger = tmp_path / interpreter.name
    stranger.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert read_procfile(procfile(tmp_path, f"it: {interpreter.name}")) == {"it": [str(interpreter)]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("worker connector", "line 1: must be a name and a command, such as `worker: connector worker`"),
        ("\nworker:", "line 2: must be a name and a command, such as `worker: connector worker`"),
        ("a: sh\na: sh", "line 2: 'a' is there twice"),
        ("a: sh 'b", "line 1: No closing quotation"),
        ("a: no-such-program --at all", "line 1: there is no program 'no-such-program'"),
        ("release: sh\n", "lists no process"),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(CommandFailed) as failed:
        read_procfile(procfile(tmp_path, text))

    assert str(failed.value).startswith(str(tmp_path / "Procfile"))
    assert str(failed.value).endswith(told)
