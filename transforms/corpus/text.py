"""Text input: a file per document, or a line per document (blank lines separate and are not rows)."""

from collections.abc import Iterator

from transforms.corpus.lines import read_lines, read_whole
from transforms.corpus.options import CorpusOptions
from transforms.corpus.rows import MAX_TEXT_BYTES, Row
from transforms.corpus.units import Slice


def read(piece: Slice, options: CorpusOptions) -> Iterator[Row]:
    """The documents of a file, exact but for a byte order mark (and line ends, when a line is a document).

    Raises `lines.READ_ERRORS` when the file is damaged.
    """
    if options.text_unit == "file":
        data = read_whole(piece.path)
        if data is None:
            detail = f"the file is larger than {MAX_TEXT_BYTES} bytes; text_unit 'line' reads its lines"
            yield Row(piece.path, None, piece.name, None, (), "too_large", detail)
        else:
            yield Row(piece.path, None, piece.name, data)
        return
    for number, line, cut in read_lines(piece.path):
        if cut:
            detail = f"a line longer than {MAX_TEXT_BYTES} bytes"
            yield Row(piece.path, number, f"{piece.name}:{number}", line[:1000], (), "too_large", detail)
        elif line.strip():
            yield Row(piece.path, number, f"{piece.name}:{number}", line)
