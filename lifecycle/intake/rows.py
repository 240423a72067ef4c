"""Which rows does a table file hold? Bytes to fields, in constant memory; meaning is `table`'s.

A file is read as it lies: plain, `.gz` or `.xz` (told by its first bytes, never by its name), in
the layout and encoding that the mapping states. What is wrong with one line is a `RowProblem` and
reading goes on; what makes the whole file unreadable is raised as a `Problem`.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from lifecycle.errors import UNCHANGED, Problem
from lifecycle.intake.mapping import Layout, TableLayout
from lifecycle.intake.strict_json import KIB

LINE_LIMIT = 1 << 20  # bytes; an endless line (a zip bomb, a binary file) is not read into memory
ROW_LIMIT = 32 * KIB  # bytes of a row, as of an event that is posted
COLUMN_LIMIT = 1000
CLIP = 60  # characters of a value that an error shows

_WIDE = {"utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"}
_BOMS = (  # the longer ones first: UTF-32's begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_ENCODINGS = ("utf-8", "gb18030", "windows-1252")  # tried only to name one in an error

Row = tuple[int, Sequence[str]]  # line on which it begins, from 1; its fields


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """One row that cannot become an event, in the words of the answer that HTTP would give."""

    line: int  # from 1; the line on which the row begins
    column: str  # name of the column; empty when the row as a whole is wrong
    code: str  # stable
    message: str  # what was found and what is allowed
    got: str = ""  # clipped
    row: str = ""  # the row as it stands in the file; empty when it is too long to be kept
    alike: str | None = None  # what rows with the same thing wrong share; None: the message itself


def clip(text: str) -> str:
    return text if len(text) <= CLIP else text[: CLIP - 1] + "…"


class TableFile:
    """An open table file: its columns, then its rows; iterate it once.

    `read_bytes` of `total_bytes` (both as stored, compressed or not) say how far it has come; `row` is
    the text of the row that was yielded last. `shown` is what messages call the file.
    """

    def __init__(self, path: Path, layout: TableLayout, shown: str | None = None) -> None:
        self.path = shown or str(path)
        self.layout = layout
        self._problems: list[RowProblem] = []
        self._line = 0
        self._text: list[str] = []  # the lines of the row
        try:
            self._raw = path.open("rb")
        except FileNotFoundError:
            raise Problem("file_not_found", f"there is no file {path}", status=404) from None
        except OSError as error:
            raise Problem("file_unreadable", f"{path}: {error.strerror or error}") from None
        try:
            self.total_bytes = path.stat().st_size
            self._file, self.encoding = self._opened()
            self._records = self._parsed()
            self.columns = self._header()
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._raw.close()

    @property
    def read_bytes(self) -> int:
        return self._raw.tell()

    @property
    def row(self) -> str:
        text = "".join(self._text).rstrip("\r\n")
        return text if len(text) <= ROW_LIMIT else ""

    def __iter__(self) -> Iterator[Row | RowProblem]:
        width = len(self.columns)
        problems = self._problems
        for line, fields in self._records:
            if problems:
                yield from problems
                problems.clear()
            elif len(fields) == width:
                yield line, fields
            elif fields:
                yield RowProblem(
                    line=line,
                    column="",
                    code="ragged_row",
                    message=f"line {line}: {len(fields)} fields, the header has {width}",
                    got=clip(" | ".join(fields)),
                )
        yield from problems
        problems.clear()

    # ------------------------------------------------------------------ bytes

    def _opened(self) -> tuple[io.BufferedReader[Any], str]:
        start = self._raw.read(8)
        self._raw.seek(0)
        file: io.BufferedReader[Any] = self._raw
        if start.startswith(b"\x1f\x8b"):
            file = io.BufferedReader(gzip.GzipFile(fileobj=self._raw))
        elif start.startswith(b"\xfd7zXZ\0"):
            file = io.BufferedReader(cast("io.RawIOBase", lzma.LZMAFile(self._raw)))  # noqa: SIM115
        elif start.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
            raise Problem(
                "not_a_table",
                f"{self.path} is an Excel workbook or a zip archive; save the sheet as CSV "
                f"(UTF-8), or unpack it; {UNCHANGED}",
            )
        return file, self._encoding_of(file)

    def _encoding_of(self, file: io.BufferedReader[Any]) -> str:
        try:
            start = file.peek(4)[:4]
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise self._damaged(error) from error
        for mark, encoding in _BOMS:
            if start.startswith(mark):
                return encoding  # the file says so itself, which is surer than the mapping
        return self.layout.encoding

    def _damaged(self, error: Exception) -> Problem:
        return Problem(
            "file_damaged",
            f"{self.path}: its compressed content ends or breaks after line {self._line}: {error}; "
            f"{UNCHANGED}",
        )

    # ------------------------------------------------------------------ lines

    def _lines(self) -> Iterator[str]:
        """Decoded lines with their endings; one that cannot be decoded is noted as a problem."""
        if self.encoding in _WIDE:
            yield from self._wide_lines()
            return
        encoding = self.encoding
        if encoding == "utf-8-sig":
            self._file.read(len(codecs.BOM_UTF8))
            encoding = "utf-8"
        readline = self._file.readline
        while True:
            try:
                raw = readline(LINE_LIMIT)
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise self._damaged(error) from error
            if not raw:
                return
            self._line += 1
            if len(raw) == LINE_LIMIT and raw[-1] != 10:
                raise self._endless()
            try:
                line = raw.decode(encoding)
            except UnicodeDecodeError as error:
                self._problems.append(self._undecodable(raw, error))
                line = raw.decode(encoding, errors="replace")
            if len(raw) > ROW_LIMIT or "\0" in line:
                self._problems.append(self._unfit(raw))
            self._text.append(line)
            yield line

    def _wide_lines(self) -> Iterator[str]:
        text = io.TextIOWrapper(self._file, encoding=self.encoding, newline="")
        try:
            while line := self._wide_line(text):
                self._line += 1
                if len(line) == LINE_LIMIT and line[-1] != "\n":
                    raise self._endless()
                if len(line) > ROW_LIMIT or "\0" in line:
                    self._problems.append(self._unfit(line))
                self._text.append(line)
                yield line
        finally:
            text.detach()  # or it would close the file when it is thrown away

    def _wide_line(self, text: io.TextIOWrapper) -> str:
        try:
            return text.readline(LINE_LIMIT)
        except UnicodeDecodeError as error:
            raise Problem(
                "encoding_unknown",
                f"{self.path}: line {self._line + 1} is not {self.encoding}: {error.reason}; "
                f"{UNCHANGED}",
            ) from None
        except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
            raise self._damaged(error) from error

    def _endless(self) -> Problem:
        return Problem(
            "limit_exceeded",
            f"{self.path}: line {self._line} is longer than {LINE_LIMIT:,} bytes; "
            f"is this a table with one row a line? {UNCHANGED}",
        )

    def _unfit(self, line: bytes | str) -> RowProblem:
        if len(line) > ROW_LIMIT:
            return self._too_long(self._line, len(line))
        return RowProblem(
            line=self._line,
            column="",
            code="forbidden_character",
            message=f"line {self._line}: U+0000 is not allowed in text",
            got="U+0000",
        )

    def _too_long(self, line: int, size: int) -> RowProblem:
        return RowProblem(
            line=line,
            column="",
            code="limit_exceeded",
            message=f"line {line}: the row has {size:,} bytes; at most {ROW_LIMIT:,} are allowed",
        )

    def _undecodable(self, raw: bytes, error: UnicodeDecodeError) -> RowProblem:
        fits = [name for name in _OTHER_ENCODINGS if name != self.encoding and _decodes(raw, name)]
        ask = f"; it would read as {' or '.join(fits)}" if fits else ""
        return RowProblem(
            line=self._line,
            column="",
            code="encoding_unknown",
            message=(
                f"line {self._line}: byte 0x{raw[error.start]:02x} at {error.start + 1} is not "
                f"{self.encoding}{ask}: say so with `encoding:` in the mapping"
            ),
            got=clip(raw.decode(self.encoding, errors="backslashreplace").strip()),
        )

    # ------------------------------------------------------------------ fields

    def _parsed(self) -> Iterator[Row]:
        if self.layout.layout is Layout.DELIMITED:
            return self._delimited()
        return self._plain(_splitter(self.layout))

    def _plain(self, split: Callable[[str], list[str]]) -> Iterator[Row]:
        for line in self._lines():
            yield self._line, split(line)
            self._text.clear()

    def _delimited(self) -> Iterator[Row]:
        """Rows of quoted, delimited fields; a broken one is noted and the next line begins anew."""
        reader = csv.reader(self._lines(), delimiter=self.layout.delimiter, strict=True)
        while True:
            begins = self._line + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self._problems.append(self._broken(begins, error))
                fields = []
            if self._line > begins and (size := sum(map(len, fields))) > ROW_LIMIT:
                self._problems.append(self._too_long(begins, size))
            yield begins, fields
            self._text.clear()

    def _broken(self, begins: int, error: csv.Error) -> RowProblem:
        words = str(error)
        if words == "unexpected end of data":
            words = "a quote is opened and never closed"
        upto = f" to {self._line}" if self._line > begins else ""
        return RowProblem(
            line=begins,
            column="",
            code="row_syntax",
            message=f"line {begins}{upto}: {words}; quotes inside a quoted field are doubled",
        )

    # ------------------------------------------------------------------ header

    def _header(self) -> tuple[str, ...]:
        if not self.layout.header:
            return self.layout.columns
        for _, fields in self._records:
            if self._problems:
                raise Problem(
                    "header_unreadable", f"{self.path}: {self._problems[0].message}; {UNCHANGED}"
                )
            if fields:
                return self._checked_header(tuple(name.strip() for name in fields))
        raise Problem("file_empty", f"{self.path} holds no line at all; {UNCHANGED}")

    def _checked_header(self, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(names) > COLUMN_LIMIT:
            raise Problem(
                "limit_exceeded",
                f"{self.path}: {len(names):,} columns, at most {COLUMN_LIMIT:,}; {UNCHANGED}",
            )
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise Problem(
                "duplicate_column",
                f"{self.path}: the header names {_listed(twice)} more than once; {UNCHANGED}",
            )
        missing = [name for name in self.layout.columns if name not in names]
        if missing:
            raise Problem(
                "column_missing",
                f"{self.path}: the header lacks {_listed(missing)}; it has {_listed(names)}"
                f"{self._advice(missing, names)}; {UNCHANGED}",
            )
        return names

    def _advice(self, missing: Sequence[str], names: Sequence[str]) -> str:
        for name in missing:
            near = difflib.get_close_matches(name, names, n=1)
            if near:
                return f": did you mean {near[0]!r}?"
        if len(missing) == len(self.layout.columns):
            if len(names) == 1 and self.layout.layout is Layout.DELIMITED:
                return f"; is {self.layout.delimiter!r} the delimiter?"
            return "; if the file has no header, say `header: false` and `columns:` in the mapping"
        return ""


def _splitter(layout: TableLayout) -> Callable[[str], list[str]]:
    if layout.layout is Layout.WHITESPACE:
        return str.split
    spans = [slice(start - 1, start - 1 + width) for start, width in layout.spans]

    def fixed(line: str) -> list[str]:
        return [line[span].strip() for span in spans] if line.strip() else []

    return fixed


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(clip(name)) for name in names[:20])
    return shown if len(names) <= 20 else f"{shown} and {len(names) - 20} more"
