"""The file of accounts: read by the service's own rules, and whole, before a byte of it is sent."""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, filterfalse
from pathlib import Path
from typing import Self

from cli.failures import CommandFailed
from connections.bulk.csv_rows import delimiter_of, is_blank, read_csv
from connections.bulk.lines import lines, utf8
from connections.bulk.rows import MAX_BYTES, TOO_LARGE
from connections.errors import PayloadTooLarge, ValidationFailed
from connections.platforms import PLATFORMS

_PIECE_BYTES = 64 * 1024

_SHAPE = PLATFORMS["bluesky"]
_IDENTIFIERS = (_SHAPE.identifier.name, *_SHAPE.identifier.aliases)


@dataclass(frozen=True, slots=True)
class FileRow:
    """`line` is where it begins; there is a cell for each of the file's `columns`, so no password."""

    line: int
    cells: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountsFile:
    """A file that was found good. `digest` is of its identifiers, in their order."""

    path: Path
    count: int
    digest: str

    @classmethod
    def check(cls, path: Path) -> Self:
        """Reads all of it. Raises `CommandFailed` that says what is wrong with it and on which line."""
        digest, count, line = hashlib.sha256(), 0, 0
        try:
            if path.stat().st_size > MAX_BYTES:
                raise CommandFailed(f"{path}: {TOO_LARGE}")
            for row in read_csv(utf8(_pieces(path)), _SHAPE.fields):
                identifier = next((row.members[name] for name in _IDENTIFIERS if name in row.members), "")
                digest.update(f"{identifier}\0".encode())
                count, line = row.number, row.line or 0
        except ValidationFailed as error:
            raise CommandFailed(f"{path}: {error.message}") from None
        except PayloadTooLarge as error:
            raise CommandFailed(f"{path}: {error.message} The row on line {line} is the last that fits.") from None
        except OSError as error:
            raise CommandFailed(f"{path} cannot be read: {error.strerror}") from None
        if not count:
            raise CommandFailed(f"{path}: There are no rows.")
        return cls(path, count, digest.hexdigest())

    def pieces(self) -> Iterator[bytes]:
        """The file as it is, to be sent."""
        return _pieces(self.path)

    @property
    def columns(self) -> list[str]:
        """All that have a name, as the file spells them, but for the password's."""
        header = next(self._records())
        return [header[at] for at in _kept(header)]

    def rows(self) -> Iterator[FileRow]:
        """The rows that the service reads, with the cells that mean nothing to it too."""
        records = self._records()
        kept = _kept(next(records))
        for row, cells in zip(read_csv(utf8(self.pieces()), _SHAPE.fields), records, strict=True):
            yield FileRow(row.line or 0, tuple(cells[at] if at < len(cells) else "" for at in kept))

    def _records(self) -> Iterator[list[str]]:
        """Cells as they stand in a file that `read_csv` has found good; the header comes first."""
        written = lines(utf8(self.pieces()))
        first = next(line for line in written if line[1].strip())
        text = (f"{line.decode()}\n" for _, line in chain([first], written))
        return filterfalse(is_blank, csv.reader(text, delimiter=delimiter_of(first[1]), strict=True))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _kept(header: list[str]) -> list[int]:
    """Also leaves out what is called nearly like a password, in a column that the service does not look at."""
    return [at for at, name in enumerate(header) if name.strip() and "password" not in name.lower()]
