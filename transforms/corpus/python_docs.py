"""Docstrings of the Python packages installed beside this interpreter, read by `ast`, never imported.

One document per docstring of a module, class, function or method: the id is the qualified name, the text is the cleaned
docstring, `package` is the top-level import name and `kind` is module, class, function or method. Left out, because a
person who searches documentation does not look for them: tests, vendored copies of other packages, this project
itself, names that start with an underscore (but `__init__` and `__call__`, which describe arguments, and modules,
because many packages define their public names in private modules), and definitions inside functions. A name that
is defined several times in a module (overloads, a property and its setter, alternatives for platforms) is one
document: the first that has a docstring.
"""

import ast
import gc
import importlib.metadata
import inspect
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from transforms.corpus.rows import Row
from transforms.corpus.units import Slice

METADATA = ("package", "kind")

_OWN_DISTRIBUTION = "corpusbeam"
_LEFT_OUT_FOLDERS = frozenset(
    {"__pycache__", "test", "tests", "_test", "_tests", "testdata"}
    | {"vendor", "vendored", "_vendor", "_vendored", "third_party", "extern", "externals"}
)
_TEST_FILE = re.compile(r"(test_.*|.*_test|conftest|setup)\.py")
_PUBLIC_UNDERSCORED = frozenset({"__init__", "__call__"})

# A source file beyond this is generated data; parsing takes about a hundred times its size in memory.
_MAX_SOURCE_BYTES = 4 << 20

# Parsing warns about other people's invalid escapes, under the file name that we give: those, and only those, are silenced.
_FILE_NAME = "<corpusbeam docstrings>"
warnings.filterwarnings("ignore", module=re.escape(_FILE_NAME))


def find_modules(folders: list[str] | None = None) -> list[Slice]:
    """The source files whose docstrings are documents, named by module, sorted by path.

    `folders` are searched as on `sys.path`: of two files for one module the first counts; by default the site-packages
    folders of this interpreter.
    """
    own = _own_packages() if folders is None else set()
    modules: dict[str, Slice] = {}
    for folder in site_folders() if folders is None else folders:
        for path in _source_files(Path(folder), own):
            parts = list(path.relative_to(folder).with_suffix("").parts)
            if parts[-1] == "__init__":
                parts.pop()
            name = ".".join(parts)
            modules.setdefault(name, Slice(str(path), name, path.stat().st_size))
    return sorted(modules.values())


def site_folders() -> list[str]:
    """The folders of installed packages on `sys.path`, each once, in order."""
    found = [os.path.realpath(entry) for entry in sys.path if entry.rstrip("/").endswith("-packages")]
    return [entry for entry in dict.fromkeys(found) if os.path.isdir(entry)]


def read(piece: Slice) -> Iterator[Row]:
    """The documents of one module, metadata in the order of METADATA; a file that cannot be parsed is one `unparsable` row."""
    if piece.size > _MAX_SOURCE_BYTES:
        yield Row(piece.path, None, piece.name, None, (), "too_large", f"source of {piece.size} bytes")
        return
    source = Path(piece.path).read_bytes()
    try:
        with _no_garbage_collection():
            documents = list(docstrings(source, piece.name))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        yield Row(piece.path, None, piece.name, None, (), "unparsable", f"{type(error).__name__}: {error}")
        return
    package = piece.name.split(".", 1)[0]
    for name, kind, line, text in documents:
        yield Row(piece.path, line, name, text, (package, kind))


def docstrings(source: bytes, module: str) -> Iterator[tuple[str, str, int, str]]:
    """(qualified name, kind, line, cleaned docstring) of each documented definition of a module, in source order.

    Raises what `ast.parse` raises.
    """
    tree = ast.parse(source, _FILE_NAME)
    seen = set()
    for name, kind, line, text in [(module, "module", 1, _docstring(tree)), *_definitions(tree.body, module, "function")]:
        if text and name not in seen:
            seen.add(name)
            yield name, kind, line, text


def _definitions(body: list[ast.stmt], prefix: str, function_kind: str) -> Iterator[tuple[str, str, int, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if _is_public(node.name):
                yield f"{prefix}.{node.name}", function_kind, node.lineno, _docstring(node)
        elif isinstance(node, ast.ClassDef):
            if _is_public(node.name):
                yield f"{prefix}.{node.name}", "class", node.lineno, _docstring(node)
                yield from _definitions(node.body, f"{prefix}.{node.name}", "method")
        else:  # definitions inside if, try, with, for, while, match
            for block in _blocks(node):
                yield from _definitions(block, prefix, function_kind)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for name in ("handlers", "cases"):
        for part in getattr(node, name, []):
            yield part.body


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    text = ast.get_docstring(node, clean=False)
    # cleandoc leaves the indentation of closing quotes on a line of their own after a single line of text
    return inspect.cleandoc(text).rstrip() if text else ""


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name in _PUBLIC_UNDERSCORED


def _source_files(folder: Path, left_out: set[str]) -> Iterator[Path]:
    for directory, names, files in os.walk(folder):
        top = Path(directory) == folder
        # A folder that is not an identifier (NAME.dist-info, bin-2) cannot be part of a module's name.
        names[:] = [n for n in names if n.isidentifier() and n not in _LEFT_OUT_FOLDERS and not (top and n in left_out)]
        for file in files:
            stem, extension = os.path.splitext(file)
            usable = extension == ".py" and stem.isidentifier() and not _TEST_FILE.fullmatch(file)
            if usable and not (top and stem in left_out):
                yield Path(directory, file)


def _own_packages() -> set[str]:
    """The top-level names that the distribution corpusbeam installed."""
    try:
        files = importlib.metadata.distribution(_OWN_DISTRIBUTION).files or []
    except importlib.metadata.PackageNotFoundError:
        return set()
    return {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Syntax trees have no cycles, and looking for them in hundreds of thousands of new nodes takes a tenth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
