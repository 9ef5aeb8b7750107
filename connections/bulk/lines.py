"""From the pieces of a body to text that is fit to be read: UTF-8, without NUL, in lines that end."""

import codecs
from collections.abc import Iterable, Iterator

from connections.bulk.rows import body_fault

# A row has a few hundred bytes. More than this on one line is no row, and not to be held to find out.
MAX_LINE_BYTES = 64 * 1024

Line = tuple[int, bytes]
"""Its number, counted from 1, and what is on it, without the line feed."""

_SAVE_AS_UTF8 = "Save the file as UTF-8 and send it again."
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Two characters of ASCII: which bytes of them are NUL, in either order.
_UTF16_NULS = ([False, True] * 2, [True, False] * 2)
# By so many one tells what a file is.
_BEGINNING_BYTES = 4


def utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes without the byte order mark. Raises `ValidationFailed` at the first that is not text in UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, is_first = 1, True
    for piece in _with_a_beginning(pieces):
        if is_first:
            _refuse_utf16(piece)
        if (nul := piece.find(b"\0")) >= 0:
            at = line + piece.count(b"\n", 0, nul)
            raise body_fault("not_text", f"Line {at} holds a NUL byte: this is no text file.", line=at)
        try:
            decoder.decode(piece)
        except UnicodeDecodeError as error:
            at = line + error.object.count(b"\n", 0, error.start)
            raise body_fault("invalid_encoding", f"Line {at} is not UTF-8. {_SAVE_AS_UTF8}", line=at) from None
        line += piece.count(b"\n")
        yield piece.removeprefix(codecs.BOM_UTF8) if is_first else piece
        is_first = False
    if decoder.getstate()[0]:
        raise body_fault("invalid_encoding", f"Line {line} ends within a character. {_SAVE_AS_UTF8}", line=line)


def lines(pieces: Iterable[bytes]) -> Iterator[Line]:
    """The lines, the last one whether or not it ends. Raises `ValidationFailed` for one that is too long."""
    number, rest = 1, b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            _refuse_too_long(number, line)
            yield number, line
            number += 1
        _refuse_too_long(number, rest)
    if rest:
        yield number, rest


def too_long(number: int) -> Exception:
    """The fault of a row that begins on this line and does not end in time."""
    message = (
        f"What begins on line {number} is longer than {MAX_LINE_BYTES // 1024} KiB. Is a quote or a line break missing?"
    )
    return body_fault("line_too_long", message, line=number)


def _refuse_too_long(number: int, line: bytes) -> None:
    if len(line) > MAX_LINE_BYTES:
        raise too_long(number)


def _with_a_beginning(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The first piece has enough bytes to tell what this is, unless there are no more."""
    beginning, rest = b"", iter(pieces)
    for piece in rest:
        beginning += piece
        if len(beginning) >= _BEGINNING_BYTES:
            break
    if beginning:
        yield beginning
    yield from rest


def _refuse_utf16(beginning: bytes) -> None:
    nuls = [byte == 0 for byte in beginning[:_BEGINNING_BYTES]]
    if beginning.startswith(_UTF16_MARKS) or nuls in _UTF16_NULS:
        raise body_fault("invalid_encoding", f"The file is UTF-16, from line 1 on. {_SAVE_AS_UTF8}", line=1)
