"""Topics by metadata as HTML: the commonest values, and documents by month as bars."""

from transforms.reports.formats import counted, number, percent
from transforms.reports.metadata import Metadata, TopicMetadata, Value
from transforms.reports.sections import FOLDED, escape
from transforms.reports.summary import Report, Topic


def metadata_section(report: Report) -> str:
    """One row per topic: the commonest values of each counted column, and its documents by month as bars."""
    found = report.metadata
    if not found.topics:
        return "<p class='empty'>No metadata is counted in topics: topics.tables and topics.date_column choose columns.</p>"
    of_topic = {topic.topic_id: topic for topic in found.topics}
    rows = [_metadata_row(topic, of_topic[topic.topic_id], found) for topic in report.topics if topic.topic_id in of_topic]
    heads = "".join(f"<th scope='col'>{escape(name)}</th>" for name in found.columns)
    if found.date_column is not None:
        heads += f"<th scope='col' class='bar'>{escape(found.date_column)}, {_span(found)}</th>"
    head = f"<thead><tr><th scope='col'>Topic</th>{heads}</tr></thead>"
    shown = f"<table class='metadata'>{head}<tbody>{''.join(rows[:FOLDED])}</tbody></table>"
    rest = (
        f"<details><summary>{counted(len(rows) - FOLDED, 'more topic')}</summary>"
        f"<table class='metadata'>{head}<tbody>{''.join(rows[FOLDED:])}</tbody></table></details>"
        if len(rows) > FOLDED
        else ""
    )
    return f"""<p class="lead">The commonest values of each topic, with their share of its documents and, after ×, how many
times as common they are there as in the corpus. All of them, and those of themes, are in topics/tables.parquet.</p>
{shown}{rest}"""


def _span(found: Metadata) -> str:
    months = found.months
    if months is None:
        return "no dates"
    each = "" if months.per_bar == 1 else f", {months.per_bar} months a bar"
    earlier = "" if months.earliest == months.first else f", earlier ones (since {months.earliest}) in the first bar"
    later = "" if months.latest == months.last else f", later ones (up to {months.latest}) in the last bar"
    return escape(f"{months.first} to {months.last}{each}{earlier}{later}")


def _metadata_row(topic: Topic, own: TopicMetadata, found: Metadata) -> str:
    cells = "".join(
        f"<td><ul class='plain'>{''.join(map(_value, own.values.get(column, ())))}</ul></td>" for column in found.columns
    )
    if found.date_column is not None:
        cells += f"<td class='bar'>{_sparkline(own.bars, _span(found))}</td>"
    return f"<tr><th scope='row' dir='auto'>{escape(topic.title)}</th>{cells}</tr>"


def _value(value: Value) -> str:
    text = "<span class='note'>none</span>" if value.text is None else f"<span dir='auto'>{escape(value.text)}</span>"
    return f"<li>{text} <span class='note'>{percent(value.share, 1)} ×{value.lift:.1f}</span></li>"


def _sparkline(bars: tuple[int, ...], span: str) -> str:
    """Bars side by side; their heights as attributes, since the page's policy forbids styles."""
    top = max(bars, default=0)
    if not top:
        return "<span class='note'>no dates</span>"
    drawn = "".join(
        f"<rect x='{i}' y='{100 - 100 * count / top:.1f}' width='.9' height='{100 * count / top:.1f}'/>"
        for i, count in enumerate(bars)
        if count
    )
    return (
        f"<svg class='spark' viewBox='0 0 {len(bars)} 100' preserveAspectRatio='none' role='img' "
        f"aria-label='Documents by month, {span}: at most {number(top)}'>{drawn}</svg>"
    )
