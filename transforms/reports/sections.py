"""The parts of the page as HTML: every value that comes from the corpus passes through `escape`."""

import html
import json
import re

from transforms.reports.changes import changes_line
from transforms.reports.documents import Document
from transforms.reports.drift import EVENTS, TopicEvent, sizes
from transforms.reports.formats import counted, duration, memory, moment, number, percent, words_of
from transforms.reports.groups import DEFINITION, DEFINITION_WITHOUT_TEXT, Group
from transforms.reports.summary import Pairs, QuarantineReason, Report, Topic
from transforms.reports.themes import Theme

# Rows of the topics table before a click shows all of them (report.css hides the others).
FOLDED = 20

# Control characters other than tab and line feed have no meaning in HTML, and a NUL is an error.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def escape(text: object) -> str:
    """Text for use between tags and inside quoted attributes."""
    return html.escape(_CONTROL.sub("\ufffd", str(text)), quote=True)


def meta(report: Report) -> str:
    """The line under the title: when, how much, with which model."""
    facts = [moment(report.finished or report.started), counted(report.counts["documents"], "document")]
    if report.model:
        facts.append(report.model)
    if report.stages:
        facts.append(f"run took {duration(report.seconds)}")
    if report.changes:
        facts.append(changes_line(report.changes))
    return " <span aria-hidden='true'>·</span> ".join(f"<span>{escape(fact)}</span>" for fact in facts if fact)


def tiles(report: Report) -> str:
    """The key figures, each with a line that puts it in proportion."""
    counts, found = report.counts, []
    documents = counts["documents"]
    found.append(("Documents", number(documents), f"{number(counts['distinct_texts'])} different texts"
                  if "distinct_texts" in counts else ""))  # fmt: skip
    if report.exact_copies is not None:
        share = percent(report.exact_copies, counts.get("passages", documents))
        found.append(("Exact copies", number(report.exact_copies), f"{share} of all texts"))
    if "groups" in counts:
        replaced = counts.get("duplicate_documents")
        whole = "documents replaceable" if report.unit == "document" else "documents with a replaceable passage"
        note = f"{number(replaced)} {whole}" if replaced is not None else ""
        found.append(("Duplicate groups", number(counts["groups"]), note))
    noise = counts.get("noise_documents")
    if report.themes:
        found.append(("Themes", number(len(report.themes)), ""))
    found.append(("Topics", number(counts["topics"]), "" if noise is None else f"{percent(noise, documents)} noise"))
    if report.recall:
        best = next((row for row in report.recall if row.k == 10), report.recall[0])
        found.append((f"Recall@{best.k}", f"{best.recall:.4f}", f"{number(best.queries)} queries against exact search"))
    if "documents_truncated" in counts:
        truncated = counts["documents_truncated"]
        note = (
            f"{percent(truncated, documents)} are longer than the model's limit"
            if truncated
            else "the model saw every text whole"
        )
        found.append(("Truncated", number(truncated), note))
    found.append(("Quarantined", number(counts["quarantined"]), percent(counts["quarantined"], documents) + " of the input"
                  if counts["quarantined"] else "every row was usable"))  # fmt: skip
    if report.peak_rss_mb is not None:
        slowest = max(report.stages, key=lambda stage: stage.seconds)
        found.append(("Peak memory", memory(report.peak_rss_mb), f"longest stage: {words_of(slowest.name)}"))
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd class='note'>{escape(note)}</dd></div>"
        for name, value, note in found
    )


def warnings(report: Report) -> str:
    """What looked wrong in the run."""
    if not report.warnings:
        return ""
    items = "".join(f"<li>{escape(warning)}</li>" for warning in report.warnings)
    return f"<ul class='warnings' aria-label='Warnings'>{items}</ul>"


def map_frame(report: Report, characters: int) -> str:
    """The canvas with its controls; the script fills it."""
    points = report.points
    if not len(points):
        return "<p class='empty'>This generation has no map: no document has a position.</p>"
    facts = [f"{counted(len(points), report.unit)}, one point each; near means similar in meaning."]
    if points.sampled:
        facts = [
            f"{number(len(points))} of {number(points.total)} {report.unit}s, sampled by the hash of their ids; "
            "near means similar in meaning."
        ]
    if points.unplaced:
        facts.append(f"Not shown: {counted(points.unplaced, report.unit)} without a position.")
    if (report.points.topic_ids < 0).any():
        facts.append("Grey points are noise: in no topic.")
    if points.without_colour:
        facts.append(f"Nothing to colour by in {', '.join(points.without_colour)}.")
    if points.more_columns:
        facts.append(f"Set report.map_columns to colour by {', '.join(points.more_columns)}.")
    where = f"ids, the first {characters} characters" if report.texts_kept and characters else "ids"
    return f"""<p class="lead">{escape(" ".join(facts))}</p>
<div class="map">
<div class="stage">
<canvas id="canvas" tabindex="0" role="img" aria-describedby="map-help"
 aria-label="Topic map: {number(len(points))} points in {number(len(report.topics))} topics"></canvas>
<div class="tools">
<button type="button" id="zoom-in" aria-label="Zoom in">+</button>
<button type="button" id="zoom-out" aria-label="Zoom out">−</button>
<button type="button" id="zoom-reset">Reset</button>
</div>
<div id="tooltip" role="status" hidden></div>
</div>
<aside aria-label="Legend">
<label for="colour">Colour by</label>
<select id="colour"></select>
<label for="search">Find {report.unit}s</label>
<input id="search" type="search" autocomplete="off" spellcheck="false" placeholder="Words">
<p id="matches" role="status"></p>
<ol id="legend"></ol>
</aside>
</div>
<p id="map-help" class="hint">Scroll or pinch to zoom, drag to move, double-click to reset; arrow keys, + − and 0 do the same.
The first view leaves out the farthest points: zoom out for them.
Point at a {report.unit} to read it. A click on a line of the legend shows what it stands for alone, Escape shows all.
The search looks in {escape(where)} and titles.</p>"""


def themes_list(report: Report) -> str:
    """One line per theme that opens to the topics inside it."""
    if not report.themes:
        return "<p class='empty'>This generation has no themes.</p>"
    topics = {topic.topic_id: topic for topic in report.topics}
    items = "".join(_theme(theme, topics, report.counts["documents"]) for theme in report.themes)
    return f"""<p class="lead">Every {report.unit} has a theme: a community of the graph of nearest neighbours. Open one for the
topics inside it.</p>
<div class="themes">{items}</div>"""


def _theme(theme: Theme, topics: dict[int, Topic], documents: int) -> str:
    inside = "".join(
        f"<li><span dir='auto'>{escape(topics[topic].title)}</span> <data>{number(topics[topic].documents)}</data></li>"
        for topic in theme.topic_ids
    )
    size = f"{counted(theme.documents, 'document')}, {percent(theme.documents, documents)}"
    return f"""<details><summary><b dir="auto">{escape(theme.title)}</b>
<span>{size}; {counted(len(theme.topic_ids), "topic")}</span></summary>
<p class="id" dir="auto">{escape(", ".join(theme.terms))}</p><ul class="plain">{inside}</ul></details>
"""


def topics_table(report: Report, colours: list[int]) -> str:
    """One row per topic, each with a second row that opens: terms as bars, example documents."""
    if not report.topics:
        return "<p class='empty'>No topics were found in this corpus.</p>"
    documents = report.counts["documents"]
    largest = max(topic.documents for topic in report.topics)
    titles = {topic.topic_id: topic.title for topic in report.topics}
    rows = "".join(
        _topic(topic, place, colours[place], documents, largest, titles) for place, topic in enumerate(report.topics)
    )
    folded = len(report.topics) > FOLDED
    more = (
        f"<p><button type='button' id='all-topics'>Show all {number(len(report.topics))} topics</button></p>" if folded else ""
    )
    return f"""<p class="lead">Terms are weighted by c-TF-IDF. Open a topic for its terms, its most typical documents, those
that are nearest to another topic, and duplicates.</p>
<table class="topics{" folded" if folded else ""}">
<thead><tr>
<th scope="col" aria-sort="none"><button type="button" data-sort="title">Topic</button></th>
<th scope="col" class="wide">Terms</th>
<th scope="col" class="number" aria-sort="descending"><button type="button" data-sort="size">Documents</button></th>
<th scope="col" class="number wide">Share</th>
<th scope="col" class="bar"><span class="hidden">Size</span></th>
</tr></thead>
{rows}</table>{more}"""


def _topic(topic: Topic, place: int, colour: int, documents: int, largest: int, titles: dict[int, str]) -> str:
    terms = ", ".join(term for term, _ in topic.terms)
    heaviest = max((weight for _, weight in topic.terms), default=1.0) or 1.0
    weights = "".join(
        f"<tr><th scope='row' dir='auto'>{escape(term)}</th><td>{_bar(weight / heaviest, f'c{colour}')}</td>"
        f"<td class='number'>{weight:.3f}</td></tr>"
        for term, weight in topic.terms
    )
    examples = "".join(f"<li>{_document(document)}</li>" for document in topic.examples)
    border = "".join(
        f"<li>{_document(one.document, after=_near(titles[one.other_id]))}</li>"
        for one in topic.border
        if one.other_id in titles
    )
    border = f"<h3>At the border</h3><ul class='documents'>{border}</ul>" if border else ""
    pairs = "".join(
        f"<li><span class='cosine'>{pair.cosine:.3f}</span><div>{_document(pair.kept)}{_document(pair.other)}</div></li>"
        for pair in topic.duplicates
    )
    pairs = f"<h3>Duplicates</h3><ul class='members'>{pairs}</ul>" if pairs else ""
    return f"""<tbody data-topic="{place}" data-size="{topic.documents}" data-title="{escape(topic.title.casefold())}">
<tr><th scope="row"><button type="button" class="open" aria-expanded="false" aria-controls="topic-{place}">
<i class="dot c{colour}"></i><span dir="auto">{escape(topic.title)}</span></button></th>
<td class="terms wide" dir="auto">{escape(terms)}</td><td class="number">{number(topic.documents)}</td>
<td class="number wide">{percent(topic.documents, documents)}</td>
<td class="bar">{_bar(topic.documents / largest, f"c{colour}")}</td></tr>
<tr class="detail" id="topic-{place}" hidden><td colspan="5"><div class="columns">
<div><h3>Terms</h3><table class="weights">{weights}</table>
<p><button type="button" class="show">Show on the map</button></p></div>
<div><h3>Typical documents</h3><ul class="documents">{examples}</ul>{border}{pairs}</div>
</div></td></tr></tbody>
"""


def _near(title: str) -> str:
    return f" <span class='note' dir='auto'>near “{escape(title)}”</span>"


def changed_topics(report: Report) -> str:
    """What became of the topics since the generation before: a line of figures, then each kind of event, largest first."""
    drift = report.drift
    if drift is None:
        return "<p class='empty'>There is no generation before this one to compare its topics with.</p>"
    facts = drift.line(report.unit)
    line = f"<p class='lead'>{escape(facts[0].upper() + facts[1:])}.</p>"
    parts = []
    for kind in EVENTS:
        own = [event for event in drift.events if event.event == kind]
        if own:
            shown = "".join(f"<li>{_event(event, report.unit)}</li>" for event in own[:FOLDED])
            more = f"<li class='note'>and {number(len(own) - FOLDED)} more</li>" if len(own) > FOLDED else ""
            parts.append(f"<h3>{kind.capitalize()}</h3><ul class='plain'>{shown}{more}</ul>")
    return line + "".join(parts)


def _event(event: TopicEvent, unit: str) -> str:
    word = "into" if event.event in ("merged", "vanished") else "from"
    others = f", {word} {', '.join(event.others)}" if event.others else ""
    facts = escape(sizes(event, unit) + others)
    return f"<span dir='auto'>{escape(event.title)}</span> <span class='note' dir='auto'>{facts}</span>"


def duplicates(report: Report) -> str:
    """Counts of pairs, and the groups most worth reading."""
    facts = []
    if report.exact_copies is not None:
        facts.append(("exact copies of another text", report.exact_copies))
    facts += [(f"{name} pairs", count) for name, count in report.pairs.relations]
    if lost := report.counts.get("pairs_dropped"):
        facts.append(("pairs left out: a text has too many", lost))
    line = "".join(f"<div><dt>{escape(name)}</dt><dd>{number(count)}</dd></div>" for name, count in facts)
    line = f"<dl class='facts'>{line}</dl>" if facts else ""
    if not report.groups:
        return line + "<p class='empty'>No group of different texts that say the same was found.</p>"
    definition = DEFINITION if report.texts_kept else DEFINITION_WITHOUT_TEXT
    groups = "".join(f"<li>{_group(group, report.unit)}</li>" for group in report.groups)
    marks = " Words that the kept text does not have are <mark>marked</mark>." if report.texts_kept else ""
    return f"""{line}{_histogram(report.pairs)}<h3>The most interesting groups</h3>
<p class="lead">{escape(definition)}{marks}</p>
<ol class="groups">{groups}</ol>"""


def _group(group: Group, unit: str) -> str:
    members = []
    known = None if group.kept.text is None else group.kept_words
    for member in group.members:
        copies = f" <span class='note'>× {number(member.copies)} documents</span>" if member.copies > 1 else ""
        members.append(f"<li><span class='cosine'>{member.cosine:.3f}</span>"
                       f"<div>{_document(member.document, known, copies)}</div></li>")  # fmt: skip
    hidden = group.texts - 1 - len(group.members)
    more = f"<li class='note'><span></span>and {counted(hidden, 'more text')}</li>" if hidden else ""
    return f"""<article><p class="note">{counted(group.size, unit)}, {counted(group.texts, "different text")}</p>
<ul class="members"><li class="kept"><span class="cosine">kept</span><div>{_document(group.kept)}</div></li>
{"".join(members)}{more}</ul></article>"""


def _document(document: Document, known: frozenset[str] | None = None, after: str = "") -> str:
    """Id, metadata and text; words outside `known` are marked."""
    facts = " · ".join(f"{name} {value}" for name, value in document.metadata)
    note = f"<span class='note' dir='auto'>{escape(facts)}</span>" if facts else ""
    head = f"<p class='id'><b dir='auto'>{escape(document.label)}</b> {note}{after}</p>"
    if document.text is None:
        return head
    pieces = re.split(r"(\w+)", document.text) if known is not None else [document.text]
    text = "".join(
        f"<mark>{escape(piece)}</mark>" if i % 2 and known is not None and piece.casefold() not in known else escape(piece)
        for i, piece in enumerate(pieces)
    )
    return f"{head}<p class='text' dir='auto'>{text.replace('</mark> <mark>', ' ')}</p>"


def _histogram(pairs: Pairs) -> str:
    if not pairs.total:
        return ""
    top, n = max(pairs.bins), len(pairs.bins)
    bars = "".join(
        f"<g><title>{pairs.edges[i]:.2f} to {pairs.edges[i + 1]:.2f}: {number(count)} pairs</title>"
        f"<rect class='reach' x='{i}' y='0' width='1' height='100'/>"
        f"<rect x='{i + 0.06:.2f}' y='{100 - 100 * count / top:.2f}' width='.88' height='{100 * count / top:.2f}'/></g>"
        for i, count in enumerate(pairs.bins)
    )
    return f"""<figure>
<figcaption>{number(pairs.total)} pairs by cosine <span class="note">highest bar {number(top)}</span></figcaption>
<svg class="histogram" viewBox="0 0 {n} 100" preserveAspectRatio="none" role="img"
 aria-label="Histogram of the cosine of all pairs">{bars}</svg>
<p class="axis"><span>{pairs.edges[0]:.2f}</span><span>{pairs.edges[-1]:.2f}</span></p></figure>"""


def quality(report: Report) -> str:
    """Recall against exact search."""
    if not report.recall:
        return "<p class='empty'>Recall was not measured in this run.</p>"
    rows = "".join(
        f"<tr><th scope='row'>Recall@{row.k}{'' if row.own else ' of your queries'}</th>"
        f"<td class='number'>{row.recall:.4f}</td><td class='number'>{_interval(row.low, row.high)}</td>"
        f"<td class='number'>{number(row.queries)}</td><td class='bar'>{_bar(row.recall)}</td></tr>"
        for row in report.recall
    )
    by_dot = " Near is by inner product, not by cosine: the model was indexed for dot product." if report.by_dot else ""
    return f"""<p class="lead">Share of the true nearest neighbours that the index returns, against exact search.{by_dot}</p>
<table class="narrow"><thead><tr><th scope="col">Measure</th><th scope="col" class="number">Value</th>
<th scope="col" class="number">95 % interval</th><th scope="col" class="number">Queries</th>
<th scope="col" class="bar"></th></tr></thead><tbody>{rows}</tbody></table>
{_graph_quality(report)}"""


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.4f} – {high:.4f}"


def _graph_quality(report: Report) -> str:
    """What an approximate neighbour graph may have missed; nothing of an exact one."""
    found = report.graph_recall
    if found is None:
        return ""
    return f"""<p>The neighbour graph is approximate: its lists hold {found.recall:.4f} of the true {found.k} nearest others
(95 % interval {found.low:.4f} to {found.high:.4f}, measured on {number(found.texts)} texts). Pairs, groups and topics follow
from these lists: a pair may be missing.</p>"""


def quarantine(report: Report) -> str:
    """Rejected rows by reason, with examples and their places."""
    if not report.quarantine:
        return "<p class='empty'>Nothing was rejected: every row of the input was usable.</p>"
    rows = "".join(_reason(reason) for reason in report.quarantine)
    return f"""<p class="lead">Rows that could not be used, with the first ones of each reason;
all of them are in quarantine/*.parquet.</p>
<table><thead><tr><th scope="col">Reason</th><th scope="col" class="number">Rows</th><th scope="col">Examples</th></tr></thead>
<tbody>{rows}</tbody></table>"""


def _reason(reason: QuarantineReason) -> str:
    items = []
    for row in reason.examples:
        place = row.source if row.row is None else f"{row.source}, row {number(row.row)}"
        parts = [escape(part) for part in (row.doc_id, row.detail, row.excerpt) if part]
        items.append(f"<li><span class='place'>{escape(place)}</span> <span dir='auto'>{' · '.join(parts)}</span></li>")
    return (
        f"<tr><th scope='row'><code>{escape(reason.reason)}</code></th><td class='number'>{number(reason.rows)}</td>"
        f"<td><ul class='plain'>{''.join(items)}</ul></td></tr>"
    )


def run(report: Report) -> str:
    """Seconds, memory and counts of each stage and of each worker in it; encoder and configuration."""
    table = _stages(report) if report.stages else "<p class='empty'>No stage was timed.</p>"
    return table + _workers(report) + _json("Encoder", report.encoder) + _json("Configuration", report.configuration)


def _stages(report: Report) -> str:
    longest = max(stage.seconds for stage in report.stages) or 1.0
    rows = []
    for stage in report.stages:
        counts = " · ".join(f"{number(value)} {words_of(name)}" for name, value in stage.counts)
        rows.append(
            f"<tr><th scope='row'>{escape(words_of(stage.name))}</th><td class='bar'>{_bar(stage.seconds / longest)}</td>"
            f"<td class='number'>{duration(stage.seconds)}</td><td class='number'>{memory(stage.peak_rss_mb)}</td>"
            f"<td class='note wide'>{escape(counts)}</td></tr>"
        )
    return f"""<table class="stages">
<thead><tr><th scope="col">Stage</th><th scope="col" class="bar"><span class="hidden">Share of the longest</span></th>
<th scope="col" class="number">Time</th><th scope="col" class="number">Peak memory</th>
<th scope="col" class="wide">Counts</th></tr></thead>
<tbody>{"".join(rows)}</tbody>
<tfoot><tr><th scope="row">total</th><td></td><td class="number">{duration(report.seconds)}</td>
<td class="number">{memory(report.peak_rss_mb)}</td><td class="wide"></td></tr></tfoot></table>"""


def _workers(report: Report) -> str:
    """Which process did how much of each stage."""
    rows = []
    for stage in report.stages:
        for worker in stage.workers:
            counts = " · ".join(f"{number(value)} {words_of(name)}" for name, value in worker.counts)
            rows.append(
                f"<tr><th scope='row'>{escape(words_of(stage.name))}</th><td><code>{escape(worker.name)}</code></td>"
                f"<td class='number'>{number(worker.tasks)}</td><td class='number'>{duration(worker.seconds)}</td>"
                f"<td class='number'>{memory(worker.peak_rss_mb)}</td><td class='note wide'>{escape(counts)}</td></tr>"
            )
    if not rows:
        return ""
    return f"""<details><summary>Workers</summary><table class="stages">
<thead><tr><th scope="col">Stage</th><th scope="col">Worker (host:process)</th><th scope="col" class="number">Tasks</th>
<th scope="col" class="number">Time</th><th scope="col" class="number">Peak memory</th>
<th scope="col" class="wide">Counts</th></tr></thead>
<tbody>{"".join(rows)}</tbody></table></details>"""


def _json(title: str, value: object) -> str:
    if not value:
        return ""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return f"<details><summary>{title}</summary><pre>{escape(text)}</pre></details>"


def _bar(share: float, colour: str = "") -> str:
    """A horizontal bar; width as an SVG attribute, since the page's policy forbids style attributes."""
    width = 100 * min(max(share, 0.0), 1.0)
    return (
        f"<svg class='line {colour}' viewBox='0 0 100 1' preserveAspectRatio='none' aria-hidden='true'>"
        f"<rect width='{width:.2f}' height='1'/></svg>"
    )
