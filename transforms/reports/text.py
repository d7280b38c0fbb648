"""The end of a run in a terminal: what was found, how long it took, where the report is."""

import re
import textwrap
import unicodedata
from collections.abc import Sequence

from transforms.reports.changes import changes_line
from transforms.reports.formats import counted, duration, memory, number, percent, words_of
from transforms.reports.summary import Report

MAX_WIDTH = 100

# A query and its hits: (score, doc_id, text or None), best first.
Answer = tuple[str, Sequence[tuple[float, str, str | None]]]


def terminal_summary(
    report: Report,
    answers: Sequence[Answer] = (),
    *,
    report_path: str | None = None,
    width: int = MAX_WIDTH,
    topics: int = 5,
    groups: int = 3,
) -> str:
    """A short summary in plain text: no line is wider than `width` (40 to 100) columns, but for a path, never cut.

    `answers` are searches that the caller made: (query, [(score, doc_id, text)]) each. Control characters in the
    corpus are removed, so that no text can steer the terminal.
    """
    width = min(max(width, 40), MAX_WIDTH)
    parts = [
        _head(report, width),
        _warnings(report, width),
        _stages(report, width),
        _topics(report, width, topics),
        _groups(report, width, groups),
    ]
    parts += [_answer(query, hits, width, report.by_dot) for query, hits in answers]
    if report_path:
        parts.append(["Report  " + clean(report_path)])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def clean(text: str) -> str:
    """The text in one line without control and formatting characters."""
    return " ".join("".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") else c for c in text).split())


def columns(text: str) -> int:
    """Columns that a terminal needs for `text`: wide East Asian characters take two, combining ones none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int) -> str:
    """The cleaned text in at most `width` columns; an ellipsis says that something was cut."""
    text = clean(text)
    if columns(text) <= width:
        return text
    used, kept = 0, []
    for character in text:
        used += columns(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def _pad(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def _head(report: Report, width: int) -> list[str]:
    counts = report.counts
    facts = [counted(counts["documents"], "document")]
    if "distinct_texts" in counts:
        facts.append(counted(counts["distinct_texts"], "different text"))
    if counts.get("documents_truncated"):
        facts.append(f"{number(counts['documents_truncated'])} truncated")
    facts.append(f"{number(counts['quarantined'])} quarantined")
    if "groups" in counts:
        facts.append(f"{counted(counts['pairs'], 'similar pair')} in {counted(counts['groups'], 'group')}")
    noise = counts.get("noise_documents")
    share = "" if noise is None else f" ({percent(noise, counts['documents'])} noise)"
    if report.themes:
        facts.append(counted(len(report.themes), "theme"))
    facts.append(f"{counted(counts['topics'], 'topic')}{share}")
    facts += [f"recall@{row.k} {row.recall:.4f}{'' if row.own else ' of your queries'}" for row in report.recall if row.k == 10]
    if report.graph_recall is not None:
        facts.append(f"recall@{report.graph_recall.k} {report.graph_recall.recall:.4f} of the approximate neighbour graph")
    title = fit(report.title, width)
    changes = textwrap.wrap(changes_line(report.changes), width, break_on_hyphens=False) if report.changes else []
    drift = [] if report.drift is None else textwrap.wrap(report.drift.line(report.unit), width, break_on_hyphens=False)
    return [title, "─" * columns(title), *textwrap.wrap(", ".join(facts), width), *changes, *drift]


def _stages(report: Report, width: int) -> list[str]:
    if not report.stages:
        return []
    total = (_name("total"), duration(report.seconds), memory(report.peak_rss_mb), "")
    rows = [
        (
            _name(stage.name),
            duration(stage.seconds),
            memory(stage.peak_rss_mb),
            ", ".join(f"{number(value)} {words_of(name)}" for name, value in stage.counts),
        )
        for stage in report.stages
    ]
    sizes = [max(len(row[i]) for row in [*rows, total, ("Stage", "Time", "Peak memory", "")]) for i in range(3)]

    def line(name: str, time: str, peak: str, counts: str) -> str:
        start = f"{name:<{sizes[0]}}  {time:>{sizes[1]}}  {peak:>{sizes[2]}}"
        room = width - len(start) - 2
        return f"{start}  {fit(counts, room)}".rstrip() if room > 12 else start

    return [line("Stage", "Time", "Peak memory", ""), *(line(*row) for row in rows), line(*total)]


def _name(name: str) -> str:
    return fit(words_of(name), 20)


def _topics(report: Report, width: int, limit: int) -> list[str]:
    shown = report.topics[:limit]
    if not shown:
        return []
    head = "Largest topics" if len(shown) < len(report.topics) else "Topics"
    sizes = max(len(number(topic.documents)) for topic in shown)
    titles = min(max(columns(clean(topic.title)) for topic in shown), max(16, width // 3))
    lines = []
    for topic in shown:
        start = f"  {number(topic.documents):>{sizes}}  {_pad(fit(topic.title, titles), titles)}  "
        lines.append(start + fit(", ".join(term for term, _ in topic.terms), width - columns(start)))
    return [head, *(line.rstrip() for line in lines)]


def _groups(report: Report, width: int, limit: int) -> list[str]:
    lines = []
    for group in report.groups[:limit]:
        lines.append(f"  {counted(group.size, report.unit)}, {counted(group.texts, 'different text')}")
        member = max(group.members, key=lambda member: member.interest, default=None)
        shown = [("kept ", group.kept)] + ([(f"{member.cosine:.3f}", member.document)] if member else [])
        for label, document in shown:
            lines += _entry(f"    {label}  ", document.label, document.text, width)
    return ["Most interesting duplicate groups", *lines] if lines else []


def _warnings(report: Report, width: int) -> list[str]:
    return [line for warning in report.warnings for line in _wrapped("Warning  ", warning, width)]


def _wrapped(start: str, text: str, width: int) -> list[str]:
    """Words in lines of at most `width` columns, which `textwrap` does not count, under each other after `start`."""
    lines = [start]
    for word in clean(text).split():
        shown = fit(word, width - len(start))
        if columns(lines[-1] + shown) > width:
            lines.append(" " * len(start))
        lines[-1] += shown + " "
    return [line.rstrip() for line in lines]


def _answer(query: str, hits: Sequence[tuple[float, str, str | None]], width: int, by_dot: bool) -> list[str]:
    note = "  (inner products)" if by_dot else ""
    lines = [f"Search  {fit(query, width - 8 - len(note))}{note}"]
    for score, doc_id, text in hits:
        lines += _entry(f"  {score:.3f}  ", doc_id, text, width)
    return lines if hits else [*lines, "  no answer"]


def _entry(start: str, doc_id: str, text: str | None, width: int) -> list[str]:
    """An id, and what fits of its text in the next line."""
    indent = " " * len(start)
    lines = [start + fit(doc_id, width - len(start))]
    if text and re.search(r"\S", text):
        lines.append(indent + fit(text, width - len(indent)))
    return lines
