"""The command line: verbs, options, exit codes. Results go to stdout, progress and messages to stderr."""

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn

EXIT_FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 usage, 3 refused, 4 root in use, 130 and 143 on signals."""
    arguments, beam_options = split_beam_options(list(sys.argv[1:] if argv is None else argv))
    parser = build_parser()
    options = parser.parse_args(arguments)
    if beam_options and options.verb not in ("reindex", "plan"):
        parser.error(f"Beam options after -- make sense for reindex and plan only, not for {options.verb}")
    options.beam_options = beam_options
    _set_up_messages(options.debug)
    with _stoppable() as received:
        return _guarded(options.run, options, received)


def split_beam_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split `ours -- theirs` at the first `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs. Each sets `run`, a function of the parsed options that returns an exit code."""
    parser = argparse.ArgumentParser(
        prog="corpusbeam",
        description="Reindex a document corpus: vectors, FAISS index, duplicates, topics, report.",
        epilog="reindex and plan pass options after -- to Beam, such as -- --runner=PortableRunner --job_endpoint=HOST:PORT.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    settings = argparse.ArgumentParser(add_help=False)
    settings.add_argument("--config", metavar="FILE", help="YAML configuration; without it, the defaults")
    settings.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="set one key: corpus.text_column=body"
    )
    settings.add_argument("--root", metavar="DIR", help="folder of the generations (key root)")
    settings.add_argument("--input", metavar="GLOB", nargs="+", action="extend", help="files to read (key corpus.input)")
    reading = argparse.ArgumentParser(add_help=False)
    reading.add_argument("--root", metavar="DIR", default="output", help="folder of the generations (default: output)")
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--format", choices=["table", "json"], default="table", help="how results are printed")
    output.add_argument("--debug", action="store_true", help="show tracebacks and library messages")

    def verb(name: str, run: Callable[[argparse.Namespace], int], text: str, *parents: argparse.ArgumentParser) -> Any:
        command = verbs.add_parser(name, help=text, description=text, parents=[*parents, output])
        command.set_defaults(run=run)
        return command

    running = argparse.ArgumentParser(add_help=False)
    running.add_argument("--workers", metavar="N", type=int, help="worker processes on this machine (key runner.workers)")
    reindex = verb("reindex", _reindex, "Build and publish a new generation of a corpus.", settings, running)
    reindex.add_argument("--example-query", metavar="TEXT", help="search shown in the summary (default: the largest topic)")
    verb("plan", _plan, "Say what a reindex would do, without embedding or publishing.", settings, running)
    verb("config", _config, "Print the configuration that the options give.", settings).add_argument(
        "--schema", action="store_true", help="print the JSON Schema of all keys instead"
    )
    verb("status", _status, "Show what is published.", reading)
    verb("verify", _verify, "Recompute the checksum of every published file.", reading).add_argument(
        "--generation", metavar="ID", help="default: the published one"
    )
    search = verb("search", _search, "Search the published generation.", reading)
    search.add_argument("query", help="what to look for")
    search.add_argument("-k", type=int, default=10, help="number of answers (default: 10)")
    similarity = verb("similarity", _similarity, "Cosine, dot product and euclidean distance of every pair of texts.")
    similarity.add_argument("texts", nargs="+", metavar="TEXT", help="two or more texts")
    for command, default in ((search, "the index's model"), (similarity, "all-MiniLM-L6-v2")):
        command.add_argument("--model", help=f"sentence-transformers model: name or folder (default: {default})")
    verb("report", _report, "Print the summary of the published generation and where its HTML report is.", reading)
    return parser


def _reindex(options: argparse.Namespace) -> int:
    from pipelines.reindex import reindex
    from pipelines.report import print_outcome

    outcome = reindex(_configuration(options))
    print_outcome(outcome, options.format, options.example_query)
    return 0


def _plan(options: argparse.Namespace) -> int:
    from pipelines.plan import make_plan, plan_lines

    plan = make_plan(_configuration(options))
    _show(options, plan, lambda: plan_lines(plan))
    return 0


def _config(options: argparse.Namespace) -> int:
    from pipelines.config import config_schema, config_yaml

    if options.schema:
        print(json.dumps(config_schema(), indent=2))
        return 0
    config = _configuration(options)
    _show(options, config.model_dump(mode="json"), lambda: [config_yaml(config).rstrip()])
    return 0


def _status(options: argparse.Namespace) -> int:
    from pipelines.published import status, status_lines

    found = status(options.root)
    _show(options, found, lambda: status_lines(found))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from pipelines.published import verify, verify_lines

    found = verify(options.root, options.generation)
    _show(options, found, lambda: verify_lines(found))
    return EXIT_FAILED if found["problems"] else 0


def _search(options: argparse.Namespace) -> int:
    from pipelines.search import hit_lines, search

    hits = search(options.root, options.query, options.k, options.model)
    _show(options, {"query": options.query, "hits": hits}, lambda: hit_lines(hits))
    return 0


def _similarity(options: argparse.Namespace) -> int:
    from pipelines.similarity import similarity, similarity_lines

    found = similarity(options.texts, options.model)
    _show(options, found, lambda: similarity_lines(found))
    return 0


def _report(options: argparse.Namespace) -> int:
    from pipelines.report import print_report

    print_report(options.root, options.format)
    return 0


def _configuration(options: argparse.Namespace) -> Any:
    from pipelines.config import load_config

    overrides: dict[str, Any] = {}
    if options.root is not None:
        overrides["root"] = options.root
    if options.input:
        overrides["corpus.input"] = options.input
    if getattr(options, "workers", None) is not None:
        overrides["runner.workers"] = options.workers
    if options.beam_options:
        overrides["runner.beam_options"] = options.beam_options
    return load_config(options.config, options.set, overrides)


def _show(options: argparse.Namespace, value: Any, lines: Callable[[], list[str]]) -> None:
    if options.format == "json":
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines()))


def _guarded(run: Callable[[argparse.Namespace], int], options: argparse.Namespace, received: list[int]) -> int:
    """Turn what went wrong into one message and an exit code; a traceback only with --debug."""
    try:
        return run(options)
    except KeyboardInterrupt as stop:
        _stop(received[0] if received else signal.SIGINT, str(stop))
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): that is its right, and Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if received:
            # Beam makes an error of its own of the interrupt that it meets in a bundle.
            _stop(received[0])
        if options.debug:
            raise
        from pipelines.errors import exit_code, message

        print(f"corpusbeam: {message(error)}", file=sys.stderr)
        return exit_code(error)


def _stop(number: int, published: str = "") -> NoReturn:
    """Say what stopped this process and what that left, and end it."""
    what = published or "nothing was published"
    print(f"corpusbeam: stopped by {signal.Signals(number).name}; {what}", file=sys.stderr, flush=True)
    # Threads of the runner may be in the middle of a batch; nothing they still write is part of anything published.
    os._exit(128 + number)


@contextlib.contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Turn SIGINT and SIGTERM into KeyboardInterrupt, so that temporary files are removed on the way out.

    Yields a list that holds the number of the signal once one was received.
    """
    received: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield received
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _set_up_messages(debug: bool) -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.INFO if debug else logging.ERROR, format="%(name)s: %(message)s")
    if not debug:
        warnings.filterwarnings("ignore")
        # Beam logs the traceback of every error that it then raises anyway.
        logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    sys.exit(main())
