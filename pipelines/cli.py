"""The command line: verbs, options, exit codes. Results go to stdout, progress and messages to stderr."""

import argparse
import atexit
import contextlib
import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import FrameType
from typing import Any, NoReturn

from pipelines import stopped
from pipelines.defaults import DEFAULT_ROOT
from pipelines.stopped import Stopped, received

EXIT_FAILED = 1


def main(argv: Sequence[str] | None = None, *, alone: bool = False) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 usage, 3 refused, 4 root in use, 130 and 143 on signals.

    `alone`: the process ends with the command, so that no later one would find a model that is loaded here.
    """
    arguments, beam_options = split_beam_options(list(sys.argv[1:] if argv is None else argv))
    parser = build_parser()
    options = parser.parse_args(arguments)
    batch = options.verb == "search" and bool(options.queries)
    if beam_options and not batch and options.verb not in ("reindex", "plan"):
        parser.error(f"Beam options after -- make sense for reindex, plan and search --queries only, not for {options.verb}")
    if options.verb == "search":
        _check_search(parser, options)
    _refuse_credentials(parser, options)
    options.beam_options, options.alone = beam_options, alone
    _set_up_messages(options.debug)
    with _stoppable():
        return _guarded(options.run, options)


def console() -> NoReturn:
    """The command: `main`, then an end without taking the interpreter apart, which takes seconds once torch is loaded."""
    code = main(alone=True)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # as in `_guarded`
    except OSError as error:
        print(f"corpusbeam: the output could not be written: {error}", file=sys.stderr)
        code = EXIT_FAILED
    sys.stderr.flush()
    # What was asked for at exit is done, such as removing temporary folders. All that is left out is to free memory.
    atexit._run_exitfuncs()
    os._exit(code)


def split_beam_options(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split `ours -- theirs` at the first `--`. Not where a text is asked for: after `--` one may begin with a dash."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    ours = arguments[:at]
    # An option may be shortened, and no other one of search begins so.
    of_texts = ours[:1] == ["similarity"] or (ours[:1] == ["search"] and not any(one.startswith("--q") for one in ours))
    return (arguments, []) if of_texts else (ours, arguments[at + 1 :])


def build_parser() -> argparse.ArgumentParser:
    """The parser of all verbs. Each sets `run`, a function of the parsed options that returns an exit code."""
    parser = argparse.ArgumentParser(
        prog="corpusbeam",
        description="Reindex a document corpus: vectors, FAISS index, duplicates, topics, report.",
        epilog="reindex, plan and search --queries hand on to Beam: -- --runner=PortableRunner --job_endpoint=HOST:PORT.",
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
    reading.add_argument(
        "--root", metavar="DIR", default=DEFAULT_ROOT, help=f"folder of the generations (default: {DEFAULT_ROOT})"
    )
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
    reindex.add_argument(
        "--allow-deletes", action="store_true", help="publish even if many documents, or any beside unreadable files, are gone"
    )
    reindex.add_argument(
        "--prometheus", metavar="FILE", help="write metrics for Prometheus there (key monitoring.prometheus_file)"
    )
    reindex.add_argument("--allow-empty", action="store_true", help="publish even if the corpus has no document")
    reindex.add_argument("--dry-run", action="store_true", help="do all but publish, and show the gates; exit 3 if one refuses")
    verb("plan", _plan, "Say what a reindex would do, without embedding or publishing.", settings, running)
    verb("config", _config, "Print the configuration that the options give.", settings).add_argument(
        "--schema", action="store_true", help="print the JSON Schema of all keys instead"
    )
    verb("status", _status, "Show what is published.", reading)
    verify = verb("verify", _verify, "Recompute the checksum of every published file.", reading).add_mutually_exclusive_group()
    verify.add_argument("--generation", metavar="ID", help="default: the published one")
    verify.add_argument("--all", action="store_true", help="all generations")
    rollback = verb("rollback", _rollback, "Make an earlier generation the published one.", reading)
    rollback.add_argument("generation", metavar="ID", nargs="?", help="default: the parent of the published one")
    rollback.add_argument(
        "--verify", action="store_true", help="compare all checksums of the generation before it is published"
    )
    lost = "for a file system without conditional writes: of two writers at one moment, one is lost"
    rollback.add_argument("--unconditional-writes", action="store_true", help=lost)
    pin = verb("pin", _pin, "Keep a generation until the pin is removed.", reading)
    pin.add_argument("generation", metavar="ID")
    pin.add_argument("--reason", metavar="TEXT", default="", help="why, shown by status")
    pin.add_argument("--remove", action="store_true", help="take the pin away")
    gc = verb("gc", _gc, "Remove generations, vectors and leftovers that nothing needs any more.", reading)
    gc.add_argument("--dry-run", action="store_true", help="list what would be removed, remove nothing")
    gc.add_argument("--keep-last", metavar="N", type=_count, default=7, help="newest generations that stay (default: 7)")
    for name, days, text in (
        ("keep", 14, "generations younger than this stay"),
        ("grace", 7, "leftovers younger than this stay"),
    ):
        gc.add_argument(f"--{name}-days", metavar="DAYS", type=_days, default=days, help=f"{text} (default: {days})")
    gc.add_argument("--unconditional-writes", action="store_true", help=lost)
    diff = verb("diff", _diff, "What is different between two generations.", reading)
    diff.add_argument("a", metavar="A", nargs="?", help="default: the parent of B")
    diff.add_argument("b", metavar="B", nargs="?", help="default: the published one")
    diff.add_argument("--examples", metavar="N", type=_count, default=5, help="ids shown of each kind (default: 5)")
    search = verb("search", _search, "Search the published generation.", reading)
    search.add_argument("query", nargs="?", help="what to look for; after -- it may begin with a dash")
    search.add_argument("--queries", metavar="GLOB", nargs="+", action="extend", help="files of queries, in place of one")
    search.add_argument("--output", metavar="DIR", help="with --queries: write the answers as Parquet there")
    search.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="with --queries: set one key")
    search.add_argument("-k", type=int, default=10, help="number of answers (default: 10)")
    search.add_argument("--where", metavar="CONDITION", help="only documents that fit: \"section = 'net' and votes > 3\"")
    search.add_argument("--group-duplicates", action="store_true", help="one answer for each group of duplicates")
    search.add_argument("--mode", choices=("dense", "lexical", "hybrid"), default="dense", help="vectors, words (BM25) or both")
    search.add_argument("--weight", type=float, metavar="W", help="hybrid: share of the vectors (default: by ranks)")
    _add_rerank(search)
    similarity = verb("similarity", _similarity, "Cosine, dot product and euclidean distance of every pair of texts.")
    similarity.add_argument("texts", nargs="+", metavar="TEXT", help="two or more texts; after -- they may begin with a dash")
    similarity.add_argument("--matrix", action="store_true", help="show a table of all texts for each measure")
    for command, default in ((search, "the index's model"), (similarity, "all-MiniLM-L6-v2")):
        command.add_argument("--model", help=f"sentence-transformers model: name or folder (default: {default})")
    _add_evaluate(verb("evaluate", _evaluate, "Measure search, cosines, topics and index by your own labels."))
    _add_duplicates(verb("duplicates", _duplicates, "List texts that say the same: of the published generation, or new ones."))
    _add_topics(
        verb(
            "topics",
            _topics,
            "Give new documents the published themes and topics, or write the map for Embedding Atlas.",
            reading,
        )
    )
    verb("report", _report, "Print the summary of the published generation and where its HTML report is.", reading)
    return parser


def _add_duplicates(command: argparse.ArgumentParser) -> None:
    command.add_argument("--root", metavar="DIR", help=f"folder of the generations (default: {DEFAULT_ROOT})")
    command.add_argument("--threshold", metavar="T", type=_cosine, help="least cosine of a pair (default: as published)")
    command.add_argument("--max-pairs", metavar="N", type=_count, help="show and write the N best pairs only")
    command.add_argument("--output", metavar="DIR", help="write the tables as Parquet there")
    command.add_argument(
        "--against", metavar="GLOB", nargs="+", action="extend", help="compare these files' documents with the published ones"
    )
    command.add_argument("--input", metavar="GLOB", nargs="+", action="extend", help="with --against: files in place of a root")
    command.add_argument("--config", metavar="FILE", help="with --input: YAML configuration")
    command.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="with --against: set one key")
    command.add_argument("--calibrate", metavar="LABELS", help="find the threshold for labelled pairs (.parquet .jsonl .csv)")
    command.add_argument("--precision", metavar="P", type=_share, help="with --calibrate: precision to promise (default: 0.9)")
    command.add_argument("--model", help="sentence-transformers model: name or folder (default: the root's)")


def _add_topics(command: argparse.ArgumentParser) -> None:
    command.add_argument("--assign", metavar="GLOB", nargs="+", action="extend", help="files with new documents")
    command.add_argument("--atlas", metavar="FILE", help="write the published map for Embedding Atlas there (.parquet)")
    command.add_argument("--output", metavar="DIR", help="write the table as Parquet there")
    floor = "texts whose nearest has a lower cosine get no topic (default: that of one in a hundred published texts)"
    command.add_argument("--floor", metavar="F", type=_cosine, help=floor)
    command.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], help="set one key of how files are read")
    command.add_argument("--model", help="sentence-transformers model: name or folder (default: the root's)")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    command.add_argument("--root", metavar="DIR", help=f"folder of the generations (default: {DEFAULT_ROOT})")
    command.add_argument("--generation", metavar="ID", help="default: the published one")
    command.add_argument("--qrels", metavar="PATH", help="retrieval: BEIR folder, or file with query_id, doc_id, relevance")
    command.add_argument("--queries", metavar="FILE", help="with a file of --qrels: queries with query_id, text")
    command.add_argument("--split", metavar="NAME", default="test", help="of a BEIR folder: qrels/NAME.tsv (default: test)")
    command.add_argument("--pairs", metavar="FILE", help="pairs of texts with a score, or with a label 0 or 1")
    command.add_argument("--labels", metavar="COLUMN", help="topics: metadata column of the corpus that names the right ones")
    command.add_argument("--index", action="store_true", help="recall of the index (default when nothing else is asked for)")
    command.add_argument("--model", metavar="MODEL", action="append", default=[], help="compare with this model, or several")
    _add_rerank(command)
    command.add_argument("--compare-root", metavar="DIR", help="compare with the generation published there")
    command.add_argument("--compare-generation", metavar="ID", help="compare with this generation")
    command.add_argument("--output", metavar="DIR", help="write all figures there, as Parquet and JSON")
    command.add_argument("--resamples", metavar="N", type=_count, default=2000, help="of intervals and tests (default: 2000)")
    command.add_argument("--seed", metavar="N", type=_count, default=0, help="of the resamples (default: 0)")


def _check_search(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """One query, or files of queries and where the answers go."""
    if (options.query is None) == (options.queries is None):
        parser.error("search needs a query, or --queries FILE … --output DIR")
    if (options.queries is None) != (options.output is None):
        parser.error("--queries and --output belong together")
    if options.rerank_optional and options.rerank is None:
        parser.error("--rerank-optional needs --rerank: which cross-encoder is optional")
    if options.set and options.queries is None:
        parser.error("--set means nothing for one query: leave it out")


def _add_rerank(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rerank", metavar="MODEL", help="let this cross-encoder order the best 100: name or folder")
    command.add_argument("--rerank-optional", action="store_true", help="go on without it where it cannot be loaded")


def _refuse_credentials(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """A path with a password in its URL would be shown in messages and reports; the environment is the place for one."""
    for name in ("root", "output", "atlas", "calibrate", "qrels", "queries", "pairs", "compare_root"):
        path = getattr(options, name, None)
        if path is not None and "://" in path:
            from transforms.files import holds_credentials

            if holds_credentials(path):
                parser.error(f"--{name.replace('_', '-')} has credentials in the URL: give them through the environment")


def _reindex(options: argparse.Namespace) -> int:
    with _encoder_process(options) as started:
        config = _configuration(options)
        encoder = _encoder_for(config, started)
        from pipelines.errors import EXIT_REFUSED
        from pipelines.gates import Allowed
        from pipelines.reindex import reindex
        from pipelines.report import print_outcome

        allowed = Allowed(deletes=options.allow_deletes, empty=options.allow_empty)
        outcome = reindex(config, allowed, dry_run=options.dry_run, encoder=encoder)
        print_outcome(outcome, options.format, options.example_query)
        return EXIT_REFUSED if outcome.refused else 0


def _encoder_process(options: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    """A process that imports what loads a model while this one imports the rest.

    None where a later command of this process would have the model in memory, and without a core to do that on.
    """
    import joblib

    if not options.alone or joblib.cpu_count() < 2:
        return contextlib.nullcontext()
    from pipelines.encoder_process import EncoderProcess

    encoder = EncoderProcess()
    encoder.start()
    return encoder


def _encoder_for(config: Any, started: Any) -> Any:
    """What has been started, if a run with this configuration has a use for it. It is stopped until it is sure to be needed."""
    from pipelines.ahead import embeds_here, looks_new

    if started is None:
        return None
    here = embeds_here(config)
    if not here or not looks_new(config):
        started.close()
    return started if here else None


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

    found = verify(options.root, options.generation, every=options.all)
    _show(options, found, lambda: verify_lines(found))
    return EXIT_FAILED if found["problems"] else 0


def _rollback(options: argparse.Namespace) -> int:
    from pipelines.published import rollback, rollback_lines

    found = rollback(options.root, options.generation, verified=options.verify, unconditional=options.unconditional_writes)
    _show(options, found, lambda: rollback_lines(found))
    return 0


def _pin(options: argparse.Namespace) -> int:
    from pipelines.published import pin, pin_lines

    found = pin(options.root, options.generation, options.reason, take_away=options.remove)
    _show(options, found, lambda: pin_lines(found))
    return 0


def _gc(options: argparse.Namespace) -> int:
    from datetime import timedelta

    from pipelines.gc import collect, gc_lines
    from transforms.generations import Retention

    age, grace = timedelta(days=options.keep_days), timedelta(days=options.grace_days)
    retention, unconditional = Retention(options.keep_last, age, grace), options.unconditional_writes
    found = collect(options.root, retention, dry_run=options.dry_run, unconditional=unconditional)
    _show(options, found, lambda: gc_lines(found))
    return 0


def _diff(options: argparse.Namespace) -> int:
    from pipelines.diff import diff, diff_lines

    found = diff(options.root, options.a, options.b, options.examples)
    _show(options, found, lambda: diff_lines(found))
    return 0


def _count(text: str) -> int:
    """A number that counts something: 0, 1, 2 …"""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of things: give 0, 1, 2 …")
    return int(text)


def _days(text: str) -> float:
    """A length of time in days, short enough to be subtracted from a date."""
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days: give 0 to 100000, fractions allowed")
    return days


def _search(options: argparse.Namespace) -> int:
    if options.queries:
        return _search_batch(options)
    from pipelines.search import hit_lines, search

    how = {name: getattr(options, name) for name in ("group_duplicates", "mode", "weight", "rerank", "rerank_optional")}
    found = search(options.root, options.query, options.k, options.model, options.where, **how)
    for warning in found["warnings"]:
        print(f"corpusbeam: warning: {warning}", file=sys.stderr)
    _show(options, found, lambda: hit_lines(found["hits"]))
    return 0


def _search_batch(options: argparse.Namespace) -> int:
    from pipelines.search_batch import batch_lines, search_batch
    from transforms.search import BatchOptions

    asked = BatchOptions(options.k, options.where, options.group_duplicates, mode=options.mode, weight=options.weight)
    if options.rerank is not None:
        from pipelines.rerank import find_reranker

        # Known before any query is embedded.
        reranker = find_reranker(options.rerank, optional=options.rerank_optional)
        if reranker is not None:
            asked = replace(asked, rerank=options.rerank, rerank_precision=reranker.precision)
    found = search_batch(options.root, options.queries, options.output, asked, options.model, options.set, options.beam_options)
    _show(options, found, lambda: batch_lines(found))
    return 0


def _duplicates(options: argparse.Namespace) -> int:
    from pipelines.duplicates_command import DuplicatesCommand

    names = ("root", "threshold", "max_pairs", "output", "config", "model", "calibrate", "precision")
    lists = {"against": options.against or (), "input": options.input or (), "settings": options.set}
    given = {name: getattr(options, name) for name in names} | {name: tuple(values) for name, values in lists.items()}
    found, lines = DuplicatesCommand(**given).run()
    _show(options, found, lambda: lines)
    return 0


def _topics(options: argparse.Namespace) -> int:
    from pipelines.topics_command import TopicsCommand

    given = {name: getattr(options, name) for name in ("root", "atlas", "floor", "output", "model")}
    found, lines = TopicsCommand(**given, assign=tuple(options.assign or ()), settings=tuple(options.set)).run()
    _show(options, found, lambda: lines)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from pipelines.evaluate import EvaluateCommand

    names = ("root", "generation", "qrels", "queries", "split", "pairs", "labels", "index", "output", "resamples", "seed")
    others = ("compare_root", "compare_generation", "rerank", "rerank_optional")
    given = {name: getattr(options, name) for name in (*names, *others)}
    found, lines = EvaluateCommand(**given, models=tuple(options.model)).run()
    _show(options, found, lambda: lines)
    return 0


def _cosine(text: str) -> float:
    """A cosine as a threshold."""
    try:
        cosine = float(text)
    except ValueError:
        cosine = 2.0
    if not -1 <= cosine <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a cosine: give a number from -1 to 1, such as 0.85")
    return cosine


def _share(text: str) -> float:
    """A share of something, above 0 and below 1."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share: give a number above 0 and below 1, such as 0.9")
    return share


def _similarity(options: argparse.Namespace) -> int:
    from pipelines.similarity import matrix_lines, similarity, similarity_lines

    found = similarity(options.texts, options.model)
    _show(options, found, lambda: (matrix_lines if options.matrix else similarity_lines)(found))
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
    if getattr(options, "prometheus", None) is not None:
        overrides["monitoring.prometheus_file"] = options.prometheus
    return load_config(options.config, options.set, overrides, beam_options=options.beam_options)


def _show(options: argparse.Namespace, value: Any, lines: Callable[[], list[str]]) -> None:
    if options.format == "json":
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print("\n".join(lines()))


def _guarded(run: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Turn what went wrong into one message and an exit code; a traceback only with --debug."""
    try:
        return run(options)
    except KeyboardInterrupt as interrupt:
        _stop(interrupt if isinstance(interrupt, Stopped) else Stopped(signal.SIGINT))
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


def _stop(stop: Stopped) -> NoReturn:
    """Say what stopped this process and what that left, and end it."""
    print(f"corpusbeam: {stop}", file=sys.stderr, flush=True)
    # Threads of the runner may be in the middle of a batch; nothing they still write is part of anything published.
    os._exit(stop.exit_code)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGINT and SIGTERM into an interrupt, so that temporary files are removed on the way out."""
    stopped.start()

    def stop(number: int, _: FrameType | None) -> None:
        received.append(Stopped(number))
        raise received[-1]

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
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
    console()
