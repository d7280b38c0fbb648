"""A small corpus as it is one night and the next, and what of it must be published."""

import json
import random
from pathlib import Path

_dice = random.Random(3)
_WORDS = ["".join(_dice.choices("abcdefghijkl", k=4)) for _ in range(40)]


def _text() -> str:
    return " ".join(_dice.choices(_WORDS, k=6))


_TEXTS = [_text() for _ in range(56)]
# Some documents have the text of another.
FIRST = {**{f"d{i:02}": text for i, text in enumerate(_TEXTS)}, **{f"copy{i}": _TEXTS[i] for i in range(4)}}
# The next night: three gone, five changed, one back to a text that another has, six new.
SECOND = {
    **{doc_id: text for doc_id, text in FIRST.items() if doc_id not in ("d03", "d17", "copy2")},
    **{f"d{i}": _text() for i in range(20, 25)},
    "d30": _TEXTS[31],
    **{f"new{i}": _text() for i in range(6)},
}
# A row that goes to quarantine.
_BAD = '{"id": "bad", "text": null}\n'


def write_corpus(path: Path, documents: dict[str, str]) -> Path:
    """JSON Lines with one bad row."""
    path.write_text("".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in documents.items()) + _BAD)
    return path
