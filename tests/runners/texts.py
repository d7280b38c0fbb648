"""Real texts for whole runs: first paragraphs of docstrings of libraries that this project installs."""

import json
from pathlib import Path

from transforms.corpus import python_docs

# Long ones would cost minutes of embedding and show nothing more.
_CHARACTERS = (30, 240)
_LIBRARIES = ("numpy.", "pyarrow.", "scipy.", "sklearn.")


def write_texts(folder: Path, count: int, files: int) -> list[Path]:
    """JSON Lines files of equal size with `count` documents in all, some of which have the text of another."""
    documents: dict[str, str] = {}
    for module in python_docs.find_modules():
        if not module.name.startswith(_LIBRARIES):
            continue
        for row in python_docs.read(module):
            text = str(row.text or "").partition("\n\n")[0]
            if _CHARACTERS[0] <= len(text) <= _CHARACTERS[1]:
                documents[str(row.doc_id)] = text
        if len(documents) >= count:
            break
    assert len(documents) >= count, f"only {len(documents)} texts in {', '.join(_LIBRARIES)}"
    lines = [json.dumps({"id": doc_id, "text": text}) + "\n" for doc_id, text in list(documents.items())[:count]]
    paths = [folder / f"texts-{number}.jsonl" for number in range(files)]
    for number, path in enumerate(paths):
        path.write_text("".join(lines[number::files]))
    return paths
