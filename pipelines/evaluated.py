"""What an evaluation found, in a form that is the same for rankings, pairs, topics and index."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.evaluation_folder import TABLES
from transforms.evaluation import CONFIDENCE, Difference, Estimate, Statistic, difference, estimate
from transforms.reports import clean


@dataclass(frozen=True)
class Sampling:
    """How often resamples are drawn, and from which seed."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class Measured:
    """One measure of one system over so many items, with its interval."""

    task: str
    system: str
    measure: str
    value: float
    low: float
    high: float
    items: int


@dataclass(frozen=True)
class Compared:
    """How much better `b` is than `a` by one measure, with interval and p of the paired test; NaN where there is none."""

    task: str
    a: str
    b: str
    measure: str
    difference: float
    low: float
    high: float
    p: float
    items: int


@dataclass(frozen=True)
class Section:
    """All of one task: facts in words that are printed and written as they are, figures, findings, and tables to be written."""

    task: str
    facts: dict[str, Any]
    measured: list[Measured]
    compared: list[Compared] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    tables: dict[str, pa.Table] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Without the tables; NaN, which JSON has not, as null."""
        measures = [_jsonable(asdict(row)) for row in self.measured]
        comparisons = [_jsonable(asdict(row)) for row in self.compared]
        return {**self.facts, "measures": measures, "comparisons": comparisons, "findings": self.findings}


def measured(task: str, system: str, measure: str, found: Estimate, items: int) -> Measured:
    """An estimate as a row."""
    return Measured(task, system, measure, found.value, found.low, found.high, items)


def measure_columns(
    task: str, system: str, columns: Mapping[str, Sequence[np.ndarray]], statistics: Mapping[str, Statistic], sampling: Sampling
) -> list[Measured]:
    """Each of the statistics of its columns, each (items,)."""
    rows = []
    for name, statistic in statistics.items():
        found = estimate(columns[name], statistic, sampling.resamples, sampling.seed)
        rows.append(measured(task, system, name, found, len(columns[name][0])))
    return rows


def compare_columns(
    task: str,
    names: tuple[str, str],
    results: Mapping[str, tuple[np.ndarray, np.ndarray]],
    shared: Sequence[np.ndarray],
    statistics: Mapping[str, Statistic],
    sampling: Sampling,
) -> list[Compared]:
    """The difference of two systems by each of the statistics, from both systems' results of the same items."""
    rows = []
    for name, statistic in statistics.items():
        a, b = results[name]
        found: Difference = difference(a, b, shared, statistic, sampling.resamples, sampling.seed)
        rows.append(Compared(task, *names, name, found.value, found.low, found.high, found.p, len(a)))
    return rows


def section_lines(section: Section) -> list[str]:
    """A section as lines for a terminal."""
    lines = [section.task, "─" * len(section.task)]
    lines += [f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in section.facts.items()]
    lines.append("")
    width = max([len(row.system) for row in section.measured] + [6])
    lines.append(f"{'system':<{width}}  {'measure':<18} {'value':>7}  {CONFIDENCE:.0%} interval")
    for row in section.measured:
        lines.append(f"{clean(row.system):<{width}}  {row.measure:<18} {row.value:7.4f}  {_interval(row.low, row.high)}")
    for other in section.compared:
        lines += [""] if other is section.compared[0] else []
        p = "" if np.isnan(other.p) else f", p = {other.p:.4f}"
        shown = f"{other.difference:+.4f} ({_interval(other.low, other.high)}){p}: {verdict(other)}"
        lines.append(f"{other.measure}: {clean(other.b)} − {clean(other.a)} = {shown}")
    lines += [f"Finding  {clean(finding)}" for finding in section.findings]
    return [*lines, ""]


def verdict(row: Compared) -> str:
    """What a comparison says in words, by the interval and, where there is one, the test."""
    if np.isnan(row.low) or row.low <= 0 <= row.high or row.p > 1 - CONFIDENCE:
        return "no difference can be told from chance"
    return "better" if row.difference > 0 else "worse"


def figures_tables(sections: Sequence[Section]) -> dict[str, pa.Table]:
    """All figures of all tasks as tables `measures` and `comparisons`."""
    rows: dict[str, list[Any]] = {
        "measures": [row for section in sections for row in section.measured],
        "comparisons": [row for section in sections for row in section.compared],
    }
    return {name: pa.Table.from_pylist([_jsonable(asdict(row)) for row in some], TABLES[name]) for name, some in rows.items()}


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}


def _interval(low: float, high: float) -> str:
    return "too few items" if np.isnan(low) else f"{low:.4f} … {high:.4f}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{_shown(count)} {name}" for name, count in value.items()) or "none"
    if isinstance(value, float):
        return f"{value:,.3g}"
    return f"{value:,}" if isinstance(value, int) else clean(str(value))
