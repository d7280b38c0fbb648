import argparse
import configparser
import email.message
import importlib
import inspect
import json.decoder
import string
import sys
import textwrap
import types
import warnings

import pytest

from tests.corpus.helpers import build
from transforms.corpus import CorpusOptions, check_quarantine, python_docs, read_unit
from transforms.corpus.units import pack

TREE = {
    "pack/__init__.py": '"""The package."""\nfrom pack import core\n',
    "pack/core.py": '''
        """Core.

            Indented.
        Not.
        """
        import os
        raise RuntimeError("documents are read, never imported")

        def documented(a, b=lambda: "no"):
            """A function."""
            def inner():
                """Not a document: nobody can refer to it."""

        def undocumented(): pass

        async def waits():
            "One line, other quotes."

        def _private():
            """Private."""

        def blank():
            """   """

        class Shape:
            r"""A class \\d."""

            def __init__(self):
                """Arguments."""

            def __repr__(self):
                """Boilerplate."""

            @property
            def area(self):
                """Getter."""

            @area.setter
            def area(self, value):
                """Setter."""

            class Inner:
                """Inner class."""
                def method(self):
                    """Inner method."""

        class _Hidden:
            """Hidden."""
            def visible(self):
                """Hidden with its class."""

        if os.name == "nt":
            def platform():
                """Windows."""
        else:
            def platform():
                """Elsewhere."""

        try:
            import fast
        except ImportError:
            def fallback():
                """In a handler."""
        else:
            class Fast:
                """In else."""

        NOT_A_DOCSTRING = """text"""
    ''',
    "pack/_private.py": '"""A private module."""\ndef public():\n    """Public name in a private module."""\n',
    "pack/latin.py": '# -*- coding: latin-1 -*-\n"""\xe9tude"""\n'.encode("latin-1"),
    "pack/broken.py": "def broken(:\n",
    "pack/zero.py": b'"""x"""\x00',
    "pack/bad_utf8.py": b'"""\xff"""\n',
    "pack/deep.py": "x = " + "(" * 5000 + ")" * 5000,
    "pack/escapes.py": '"""An invalid \\d escape."""\n',
    "pack/tests/test_core.py": '"""A test."""\n',
    "pack/test_more.py": '"""A test."""\n',
    "pack/conftest.py": '"""Test set-up."""\n',
    "pack/_vendor/other.py": '"""Vendored."""\n',
    "pack/not-a-module.py": '"""No name."""\n',
    "pack/__pycache__/core.py": '"""Cache."""\n',
    "pack-1.0.dist-info/x.py": '"""Metadata."""\n',
    "space/name/mod.py": '"""In a namespace package."""\n',
    "single.py": '"""One file."""\n',
}

DOCUMENTS = {
    "pack": ("module", "The package."),
    "pack.core": ("module", "Core.\n\n    Indented.\nNot."),
    "pack.core.documented": ("function", "A function."),
    "pack.core.waits": ("function", "One line, other quotes."),
    "pack.core.Shape": ("class", "A class \\d."),
    "pack.core.Shape.__init__": ("method", "Arguments."),
    "pack.core.Shape.area": ("method", "Getter."),
    "pack.core.Shape.Inner": ("class", "Inner class."),
    "pack.core.Shape.Inner.method": ("method", "Inner method."),
    "pack.core.platform": ("function", "Windows."),
    "pack.core.fallback": ("function", "In a handler."),
    "pack.core.Fast": ("class", "In else."),
    "pack._private": ("module", "A private module."),
    "pack._private.public": ("function", "Public name in a private module."),
    "pack.latin": ("module", "étude"),
    "pack.escapes": ("module", "An invalid \\d escape."),
    "space.name.mod": ("module", "In a namespace package."),
    "single": ("module", "One file."),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree") / "site-packages"
    for name, content in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())
    return root


@pytest.fixture
def installed(tree, monkeypatch):
    """The tree as the only installed packages."""
    monkeypatch.setattr(python_docs, "site_folders", lambda: [str(tree)])


@pytest.mark.usefixtures("installed")
def test_a_tree_of_packages(tmp_path):
    corpus = build(tmp_path)
    found = {row["doc_id"]: (row["kind"], row["text"]) for row in corpus.rows()}
    assert found == DOCUMENTS
    assert {row["package"] for row in corpus.rows()} == {"pack", "space", "single"}
    broken = {row["doc_id"]: row["reason"] for row in corpus.quarantine()}
    assert broken == dict.fromkeys(["pack.broken", "pack.zero", "pack.bad_utf8", "pack.deep"], "unparsable")


def test_warnings_about_other_peoples_code_are_silent_and_only_those():
    source = b'"""An invalid \\d escape."""'
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        importlib.reload(python_docs)  # pytest has put the module's filter away
        assert list(python_docs.docstrings(source, "m")) == [("m", "module", 1, "An invalid \\d escape.")]
        assert caught == []
        compile(source, "other.py", "exec")
    assert len(caught) == 1


@pytest.mark.usefixtures("installed")
def test_two_reads_are_byte_identical(tmp_path):
    assert build(tmp_path / "a").digests() == build(tmp_path / "b").digests()


@pytest.mark.usefixtures("installed")
def test_generated_files_beyond_the_limit_are_quarantined(tmp_path, monkeypatch):
    monkeypatch.setattr(python_docs, "_MAX_SOURCE_BYTES", 100)
    corpus = build(tmp_path)
    assert {row["doc_id"] for row in corpus.quarantine() if row["reason"] == "too_large"} == {"pack.core", "pack.deep"}


def test_the_first_folder_wins_as_on_sys_path(tree, tmp_path):
    (tmp_path / "single.py").write_text('"""Shadow."""')
    slices = [piece for piece in python_docs.find_modules([str(tmp_path), str(tree)]) if piece.name == "single"]
    assert [piece.path for piece in slices] == [str(tmp_path / "single.py")]


def expected_of(module: types.ModuleType) -> dict[str, str]:
    """Oracle: what `inspect` finds on the imported module for names that are defined in it."""
    found = {module.__name__: (inspect.getdoc(module) or "").rstrip()}

    def walk(owner, prefix):
        for name, value in vars(owner).items():
            value = getattr(value, "fget", value)
            value = getattr(value, "__func__", value)
            if name.startswith("_") and name not in ("__init__", "__call__"):
                continue
            if getattr(value, "__module__", None) != module.__name__ or getattr(value, "__name__", None) != name:
                continue
            if inspect.isfunction(value) or inspect.isclass(value):
                found[f"{prefix}.{name}"] = inspect.cleandoc(value.__doc__).rstrip() if value.__doc__ else None
            if inspect.isclass(value):
                walk(value, f"{prefix}.{name}")

    walk(module, module.__name__)
    return {name: text for name, text in found.items() if text}


@pytest.mark.parametrize(
    "module", [json.decoder, textwrap, email.message, argparse, configparser, string], ids=lambda m: m.__name__
)
def test_the_standard_library_reads_as_inspect_does(module):
    with open(module.__file__, "rb") as file:
        found = {name: text for name, _, _, text in python_docs.docstrings(file.read(), module.__name__)}
    expected = expected_of(module)
    assert len(expected) >= 2
    assert {name: found.get(name) for name in expected} == expected
    # what is found beyond that must be in the source, under a branch for another platform or with a decorator
    assert len(found) <= len(expected) * 1.5 + 2


def test_lines_are_those_of_the_definition():
    with open(textwrap.__file__, "rb") as file:
        lines = {name: line for name, _, line, _ in python_docs.docstrings(file.read(), "textwrap")}
    assert lines["textwrap.dedent"] == inspect.getsourcelines(textwrap.dedent)[1]


def test_this_machine_has_a_corpus(tmp_path):
    """The real thing on one large package: nothing fails, and what is found is what Python itself says."""
    slices = [piece for piece in python_docs.find_modules() if piece.name.split(".")[0] == "fsspec"]
    assert len(slices) > 20
    record = read_unit(pack([("python", slices)])[0], CorpusOptions(), f"{tmp_path}/runs", f"{tmp_path}/quarantine")
    assert record.rows_valid > 300
    check_quarantine([record], [], CorpusOptions())
    assert not any(piece.name.startswith("fsspec.tests") for piece in slices)
    assert "fsspec" not in sys.stdlib_module_names


def test_this_project_is_not_in_its_own_corpus(tree, monkeypatch):
    class File:
        def __init__(self, name):
            self.parts, self.suffix = tuple(name.split("/")), ".py"

    class Distribution:
        files = (File("pack/core.py"), File("single.py"))

    monkeypatch.setattr(python_docs.importlib.metadata, "distribution", lambda name: {"corpusbeam": Distribution}[name])
    monkeypatch.setattr(python_docs, "site_folders", lambda: [str(tree)])
    assert [piece.name for piece in python_docs.find_modules()] == ["space.name.mod"]
