"""CSV files that are not UTF-8, as spreadsheets save them: which encoding they have, and copies of them that are."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from clvml.errors import DataError, OptionError

__all__ = ["UTF_8", "TextFiles", "check_encoding", "opened", "readable_files"]

UTF_8, _WINDOWS = "utf-8", "windows-1252"
CHUNK_BYTES = 1 << 20
_MARKS = {codecs.BOM_UTF8: UTF_8, codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""How files begin that say their encoding."""
_ADVICE = "encoding='cp1250' is that of Central Europe, 'cp1251' Cyrillic, 'mac_roman' an old Mac's, 'cp850' DOS"


def check_encoding(encoding: str) -> None:
    """Raise OptionError for what is no encoding of text."""
    try:
        if not isinstance(encoding, str) or not isinstance("".encode(encoding), bytes):
            raise LookupError
    except (LookupError, ValueError):
        raise OptionError(
            f"encoding={encoding!r} is unknown. Name one that Python knows, such as 'windows-1252' or 'utf-16'."
        ) from None


def opened(file: str) -> IO[bytes]:
    """A file of text, unpacked."""
    return gzip.open(file, "rb") if file.lower().endswith(".gz") else Path(file).open("rb")  # type: ignore[return-value]


class TextFiles:
    """Files of text as the engine can read them: those that are not UTF-8 by copies in a folder.

    encoding: of all files; None: found out, a file at a time. Raises DataError for a file that is of another one.
    """

    def __init__(self, files: Sequence[str], encoding: str | None, folder: Path) -> None:
        self._folder, self._paths = folder, {file: file for file in files}
        self._encodings = dict.fromkeys(files, encoding or UTF_8)
        for file in files if encoding is None else ():
            self._encodings[file] = _shown_by_head(file)
        self._copy()

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, or the copies in their place."""
        return tuple(self._paths.values())

    @property
    def others(self) -> str:
        """The encodings beside UTF-8, in words; UTF-8 where there is none."""
        return " and ".join(sorted(set(self._encodings.values()) - {UTF_8})) or UTF_8

    def find_others(self) -> None:
        """Look at the whole of each file that was taken for UTF-8."""
        taken = [file for file, encoding in self._encodings.items() if encoding == UTF_8]
        self._encodings |= {file: _encoding(file) for file in taken}
        self._copy()

    def named(self, message: str) -> str:
        """A message with the files in the place of their copies."""
        for file, path in self._paths.items():
            message = message.replace(path, file)
        return message

    def _copy(self) -> None:
        for i, (file, encoding) in enumerate(self._encodings.items()):
            if encoding != UTF_8 and self._paths[file] == file:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._paths[file] = str(self._folder / f"{i}.csv")
                _as_utf8(file, encoding, self._paths[file])


@contextlib.contextmanager
def readable_files(files: Sequence[str], encoding: str | None, folder: Path) -> Iterator[TextFiles]:
    """A block in which the files can be read as UTF-8. folder: of copies, made where there are any, and deleted."""
    texts = None
    try:
        texts = TextFiles(files, encoding, folder)
        yield texts
    except OSError as error:
        raise DataError(f"The log could not be read: {error}.") from error
    except DataError as error:
        raise DataError(str(error) if texts is None else texts.named(str(error))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _shown_by_head(file: str) -> str:
    """The encoding by the mark at the beginning and the column names; UTF-8 where these leave it open."""
    with opened(file) as stream:
        head = stream.readline(1_000_000)
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head[:2]:  # no text has it, and column names begin with letters of one byte
        return "utf-16-le" if head[1:2] == b"\0" else "utf-16-be"
    try:
        head.decode(UTF_8)
    except UnicodeDecodeError:
        return _encoding(file)
    return UTF_8


def _encoding(file: str) -> str:
    """UTF-8 where all of the file is, else Windows-1252, which has all that Latin-1 has.

    Raises DataError where it is neither, and where most of what is not ASCII is UTF-8: whoever reads the rest as
    Windows-1252 makes two customers of one.
    """
    decoder = codecs.getincrementaldecoder(UTF_8)("surrogateescape")
    good = bad = line = first = 0
    undefined = False
    with opened(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            text = decoder.decode(chunk)
            undefined = undefined or any(byte in chunk for byte in _UNDEFINED)
            found = [] if text.isascii() else [*_BAD.finditer(text)]
            if found and not bad:
                first = line + text.count("\n", 0, found[0].start()) + 1
            bad += len(found)
            good += 0 if text.isascii() else len(_NOT_ASCII.findall(text)) - len(found)
            line += text.count("\n")
    if not bad:
        return UTF_8
    where = f"{file}: {bad:,} byte{'s are' if bad > 1 else ' is'} not UTF-8, first in line {first:,}"
    if good > bad:
        raise DataError(
            f"{where}, though {good:,} characters are, as where text was cut or files of two encodings were joined. "
            f"Repair the file, or say with encoding='{_WINDOWS}' what all of it is."
        )
    if undefined:
        raise DataError(f"{where}, and some no Windows-1252 either. Say what the file is: {_ADVICE}.")
    return _WINDOWS


_NOT_ASCII, _BAD = re.compile("[^\0-\x7f]"), re.compile("[\udc80-\udcff]")
_UNDEFINED = tuple(bytes([byte]) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D))
"""Bytes that Windows-1252 has no character for."""


def _as_utf8(file: str, encoding: str, copy: str) -> None:
    """Write a file anew as UTF-8. Raises DataError where it is not of the encoding."""
    decoder, lines = codecs.getincrementaldecoder(encoding)(), 0
    with opened(file) as stream, Path(copy).open("wb") as out:
        try:
            while chunk := stream.read(CHUNK_BYTES):
                text = decoder.decode(chunk)
                lines += text.count("\n")
                out.write(text.encode(UTF_8))
            out.write(decoder.decode(b"", final=True).encode(UTF_8))
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                lines += error.object[: error.start].count(b"\n")
            raise DataError(
                f"{file} is not {encoding}: {error} after line {lines:,}. Name another, or save it as UTF-8: {_ADVICE}."
            ) from None
