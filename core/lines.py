"""Lines of a text file, plain or .gz, with one clear error for whatever is wrong with the file itself."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from core.errors import UserError

LONGEST_LINE = 1 << 26
"""Characters: a .gz of some megabytes may hold a line that no memory can."""


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, line without its end), lines ending with "\\n" alone.

    Raises:
        UserError: the file is missing, is not UTF-8, has a line without end, is a .gz that is damaged or cut short, or
            holds a zero byte (trec_eval's libraries would end a document id there).
    """
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), ""), 1):
                if len(line) == LONGEST_LINE:
                    raise UserError(f"{path.name}, line {number}: it is longer than {LONGEST_LINE:,} characters")
                if "\0" in line:
                    raise UserError(f"{path.name}, line {number}: it holds a zero byte")
                yield number, line.rstrip("\n")
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: there is no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path.name}: damaged or cut short after line {number} ({error}); fetch it again") from None
