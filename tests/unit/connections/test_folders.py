from pathlib import Path

from connections.folders import make_private


def test_every_folder_it_makes_is_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_private(tmp_path / "var" / "8123")
    make_private(tmp_path / "var" / "8123")

    made = [tmp_path, tmp_path / "var", tmp_path / "var" / "8123"]
    assert [path.stat().st_mode & 0o777 for path in made] == [0o755, 0o700, 0o700]
