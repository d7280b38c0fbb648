"""`corpusbeam duplicates --calibrate`: which threshold suits a model and a kind of text, by pairs that people have labelled."""

from typing import Any

from pipelines.errors import warn
from pipelines.labelled import pair_cosines, reasons, texts_of
from transforms.corpus import InputError
from transforms.duplicates import Curve, curve_of, curve_table, read_labels
from transforms.embedding import EmbeddingOptions, encoder_spec, warnings_of
from transforms.files import join, write_table
from transforms.generations import Generation
from transforms.index import wilson_bounds
from transforms.search import matching_spec

CONFIDENCE = 0.95
# Thresholds of the printed table, beside those that are found.
_STEPS = [step / 20 for step in range(20)]


def calibrate(
    path: str, root: Generation | None, options: EmbeddingOptions, promise: float, output: str | None
) -> dict[str, Any]:
    """Measure every threshold on labelled pairs, embedded as documents; the whole curve goes to `calibration.parquet` in the
    folder `output` when it is given.

    With a `root` the vectors that its store has are used, and the pairs may be documents of the generation. `promise` is the
    precision that the recommended threshold must keep. Raises InputError for labels that cannot be used, EncoderMismatchError
    when `options` are not the encoder of `root`.
    """
    spec = encoder_spec(options) if root is None else matching_spec(root, options)
    pairs = read_labels(path)
    pairs, a, b = texts_of(pairs, root, path)
    if not len(pairs.labels):
        raise InputError(f"labels {path!r} have no pair that can be used{reasons(pairs)}: check the columns")
    warn(warnings_of(spec, ["similarity"]))
    cosines, cost = pair_cosines(a, b, root, spec, options)
    try:
        curve = curve_of(cosines, pairs.labels)
    except ValueError as error:
        raise InputError(f"labels {path!r}: {error}") from None
    written = None if output is None else write_table(join(output, "calibration.parquet"), curve_table(curve, CONFIDENCE)).path
    best, kept = curve.best_f1(), curve.promising(promise, CONFIDENCE)
    steps = [(step, place) for step in reversed(_STEPS) if (place := curve.at(step)) is not None and step > curve.cosines[-1]]
    return {
        "labels": path,
        "model": spec.model,
        "fingerprint": spec.fingerprint,
        "pairs": curve.pairs,
        "duplicates": curve.positives,
        "base_rate": curve.positives / curve.pairs,
        "left_out": pairs.left_out,
        **cost,
        "average_precision": curve.average_precision,
        "best_f1": _at(curve, best, curve.decimal(best)),
        "promised_precision": promise,
        "confidence": CONFIDENCE,
        "promised": None if kept is None else _at(curve, kept, curve.decimal(kept)),
        "thresholds": [_at(curve, place, step) for step, place in steps],
        "curve": written,
    }


def calibration_lines(found: dict[str, Any]) -> list[str]:
    """The same as lines for a terminal."""
    left_out = "".join(f", {count:,} {reason} left out" for reason, count in found["left_out"].items())
    # Thresholds with all their digits: with fewer, one may select more pairs than its line says.
    lines = [
        f"{found['pairs']:,} labelled pairs, {found['duplicates']:,} of them duplicates ({found['base_rate']:.1%}){left_out}",
        f"model {found['model']} ({found['fingerprint'][:12]})",
        f"{found['texts']:,} different texts, {found['texts_embedded']:,} embedded now",
        f"average precision {found['average_precision']:.4f}",
        "",
        f"threshold    pairs  precision  {found['confidence']:.0%} interval   recall      F1",
    ]
    lines += [_line(entry) for entry in found["thresholds"]]
    lines += ["", "best F1", _line(best := found["best_f1"])]
    promised, wanted = (
        found["promised"],
        f"precision of {found['promised_precision']!r}, with {found['confidence']:.0%} confidence",
    )
    if promised is None:
        lines.append(f"no threshold promises a {wanted}: label more pairs, or ask for less")
    else:
        lines += [f"lowest threshold with a {wanted}", _line(promised)]
    if found["texts_truncated"]:
        lines.append(f"{found['texts_truncated']:,} texts are longer than the model takes: their rest was not compared")
    lines += ["", "For the configuration (of labels like these, and as long as the model stays):"]
    lines.append(f"  duplicates.threshold: {best['threshold']!r}   # best F1")
    if promised is not None:
        lines.append(f"  duplicates.threshold: {promised['threshold']!r}   # precision ≥ {found['promised_precision']!r}")
    if found["curve"] is not None:
        lines.append(f"curve written to {found['curve']}")
    return lines


def _line(entry: dict[str, Any]) -> str:
    interval = f"{entry['precision_low']:.3f} … {entry['precision_high']:.3f}"
    shares = f"{entry['recall']:6.3f}  {entry['f1']:6.3f}"
    return f"{entry['threshold']!r:<9} {entry['pairs']:>8,}  {entry['precision']:9.3f}  {interval:<13}   {shares}"


def _at(curve: Curve, place: int, threshold: float) -> dict[str, Any]:
    low, high = wilson_bounds(curve.precision[place : place + 1], curve.selected[place : place + 1], CONFIDENCE)
    return {
        "threshold": threshold,
        "pairs": int(curve.selected[place]),
        "duplicates": int(curve.duplicates[place]),
        "precision": float(curve.precision[place]),
        "precision_low": float(low[0]),
        "precision_high": float(high[0]),
        "recall": float(curve.recall[place]),
        "f1": float(curve.f1[place]),
    }
