"""The exposition format, read by a parser that follows its specification and forgives nothing."""

import math
import re

from pipelines.prometheus import OUTCOMES, prometheus_text

NAME, LABEL = r"[a-zA-Z_:][a-zA-Z0-9_:]*", r"[a-zA-Z_][a-zA-Z0-9_]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{((?:{LABEL}="(?:[^"\\\n]|\\["\\n])*",?)*)\}})? (\S+)')
PAIR = re.compile(rf'({LABEL})="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parse(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Samples by metric and labels (prometheus.io/docs/instrumenting/exposition_formats, text format 0.0.4).

    Lines end with a line feed, the last one too; HELP and TYPE come once and before the samples of their metric, which stand
    together; no sample comes twice; values are Go floats.
    """
    assert text.endswith("\n")
    found: dict[str, dict] = {}
    described: dict[str, set[str]] = {}
    current = None
    for line in text[:-1].split("\n"):
        assert line == line.strip(), line
        assert line, "an empty line"
        if line.startswith("#"):
            kind, name, rest = line[2:].split(" ", 2)
            assert kind in ("HELP", "TYPE")
            assert re.fullmatch(NAME, name)
            assert name not in found, f"{line} after samples"
            assert kind not in described.setdefault(name, set()), f"{line} twice"
            described[name].add(kind)
            if kind == "TYPE":
                assert rest in ("counter", "gauge", "histogram", "summary", "untyped")
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        name, labels, value = match.groups()
        assert described.get(name) == {"HELP", "TYPE"}, line
        if name != current:
            assert name not in found, f"samples of {name} are not together"
            current = name
        pairs = PAIR.findall(labels or "")
        assert len({key for key, _ in pairs}) == len(pairs), line
        unescaped = tuple(sorted((key, re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], text)) for key, text in pairs))
        samples = found.setdefault(name, {})
        assert unescaped not in samples, f"{line} twice"
        samples[unescaped] = {"+Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}.get(value) or float(value)
    assert set(described) == set(found), "described without a sample"
    return found


ROOT = 'a\\b "c"\nd é'
RUN = {
    "root": ROOT,
    "outcome": "published",
    "exit_code": 0,
    "finished_timestamp": 1795000000.25,
    "last_success_timestamp": 1795000000.25,
    "seconds": 12.5,
    "changes": {"since": "20260101T000000Z-00000000", "added": 3, "unchanged": 7},
    "counts": {"documents": 10, "distinct_texts": 9},
    "stages": {
        "corpus": {"seconds": 0.5, "peak_rss_mb": 2.0, "resumed": False},
        "embed": {"seconds": 3.25, "peak_rss_mb": 4.0, "texts_embedded": 3, "texts_reused": 6},
        "embed_again": {"seconds": 1, "peak_rss_mb": 4.0, "texts_embedded": 1, "texts_reused": 9},
    },
    "gates": [
        {"name": "recall_at_10", "value": 0.75, "limit": 0.99, "passed": False, "meaning": ""},
        {"name": "unit_length", "value": math.nan, "limit": math.inf, "passed": True, "meaning": ""},
    ],
}


def labels(**more: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({"root": ROOT, **more}.items()))


def test_a_run_is_told_in_full():
    found = parse(prometheus_text(RUN))
    assert found["corpusbeam_last_run_timestamp_seconds"] == {labels(): 1795000000.25}
    assert found["corpusbeam_last_success_timestamp_seconds"] == {labels(): 1795000000.25}
    assert found["corpusbeam_last_run_duration_seconds"] == {labels(): 12.5}
    assert found["corpusbeam_last_run_exit_code"] == {labels(): 0}
    assert found["corpusbeam_last_run_outcome"] == {labels(outcome=name): float(name == "published") for name in OUTCOMES}
    assert found["corpusbeam_documents"] == {labels(state="added"): 3, labels(state="unchanged"): 7}
    assert found["corpusbeam_count"] == {labels(name="documents"): 10, labels(name="distinct_texts"): 9}
    assert found["corpusbeam_texts"] == {labels(state="embedded"): 4, labels(state="reused"): 6}
    assert found["corpusbeam_stage_duration_seconds"][labels(stage="embed")] == 3.25
    assert found["corpusbeam_stage_peak_memory_bytes"][labels(stage="corpus")] == 2 * 2**20
    assert found["corpusbeam_gate_passed"] == {labels(gate="recall_at_10"): 0, labels(gate="unit_length"): 1}
    assert found["corpusbeam_gate_limit"] == {labels(gate="recall_at_10"): 0.99, labels(gate="unit_length"): math.inf}
    assert math.isnan(found["corpusbeam_gate_value"][labels(gate="unit_length")])


def test_a_run_that_failed_at_once_has_no_empty_metric():
    run = {name: RUN[name] for name in ("root", "finished_timestamp", "seconds")}
    found = parse(prometheus_text({**run, "outcome": "failed", "exit_code": 1, "last_success_timestamp": None}))
    assert found["corpusbeam_last_success_timestamp_seconds"] == {labels(): 0}
    assert set(found) == {
        f"corpusbeam_{name}"
        for name in (
            "last_run_timestamp_seconds",
            "last_success_timestamp_seconds",
            "last_run_duration_seconds",
            "last_run_exit_code",
            "last_run_outcome",
        )
    }
