"""The report as one HTML file: escaped text, packed points, and a policy that forbids every request."""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from transforms.reports import sections
from transforms.reports.colouring import Colouring
from transforms.reports.documents import passage_label
from transforms.reports.metadata_section import metadata_section
from transforms.reports.options import ReportOptions
from transforms.reports.sections import escape
from transforms.reports.summary import Report, Topic

# Colours that can be told apart on a map; report.css gives each a light and a dark value (.c0 … .c11).
COLOURS = 12


def render_html(report: Report, options: ReportOptions | None = None) -> str:
    """The whole page. It needs no network, and its content security policy allows none."""
    options = options or ReportOptions()
    style, script = _asset("report.css"), _asset("report.js")
    colours = assign_colours(report.topics)
    names = {
        "map": "Map", "themes": "Themes", "topics": "Topics", "changes": "What changed", "metadata": "Metadata",
        "duplicates": "Duplicates", "quality": "Quality", "quarantine": "Quarantine", "run": "Run",
    }  # fmt: skip
    return Template(_asset("report.html")).substitute(
        policy=f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        data=embed_json(map_data(report, colours)),
        title=escape(report.title),
        navigation="".join(f"<a href='#{anchor}'>{name}</a>" for anchor, name in names.items()),
        meta=sections.meta(report),
        warnings=sections.warnings(report),
        tiles=sections.tiles(report),
        map=sections.map_frame(report, options.hover_characters),
        themes=sections.themes_list(report),
        topics=sections.topics_table(report, colours),
        changes=sections.changed_topics(report),
        metadata=metadata_section(report),
        duplicates=sections.duplicates(report),
        quality=sections.quality(report),
        quarantine=sections.quarantine(report),
        run=sections.run(report),
    )


def embed_json(value: Any) -> str:
    """JSON that can stand in a script element: no text in it can end the element, open a comment or break a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def assign_colours(topics: tuple[Topic, ...]) -> list[int]:
    """A colour number below `COLOURS` for each topic: the largest differ, later ones take the colour used farthest away."""
    return spread_colours([topic.position for topic in topics])


def spread_colours(positions: Sequence[tuple[float, float] | None]) -> list[int]:
    """A colour number for each position, None for one that has none: see `assign_colours`."""
    used: list[list[tuple[float, float]]] = [[] for _ in range(COLOURS)]
    colours = []
    for i, position in enumerate(positions):
        if position is None:
            colours.append(i % COLOURS)
            continue
        x, y = position
        distances = [min(((x - a) ** 2 + (y - b) ** 2 for a, b in places), default=np.inf) for places in used]
        colours.append(int(np.argmax(distances)))
        used[colours[-1]].append(position)
    return colours


def map_data(report: Report, colours: list[int]) -> dict[str, Any]:
    """What the script draws: positions as uint16 on one scale for both axes, topics as int32 places in the table, base64.

    y is flipped, since a canvas counts downwards. Topic −1 is noise. `schemes` are what else the points can be coloured by:
    items with the place of every point among them, −1 for none.
    """
    points = report.points
    x, y = points.x.astype(np.float64), -points.y.astype(np.float64)
    low = np.array([x.min(), y.min()]) if len(points) else np.zeros(2)
    span = max(float(np.ptp(x)), float(np.ptp(y))) if len(points) else 0.0
    scale = 65535 / span if span else 0.0
    place = {topic.topic_id: i for i, topic in enumerate(report.topics)}
    topics = []
    for topic, colour in zip(report.topics, colours, strict=True):
        at = None
        if topic.position is not None:
            at = [round((topic.position[0] - low[0]) * scale), round((-topic.position[1] - low[1]) * scale)]
        topics.append({"title": topic.title, "size": topic.documents, "colour": colour, "at": at})
    return {
        "x": _packed((x - low[0]) * scale, "<u2"),
        "y": _packed((y - low[1]) * scale, "<u2"),
        "topic": _packed([place.get(i, -1) for i in points.topic_ids.tolist()], "<i4"),
        "near": _packed([place.get(i, -1) for i in points.assigned_ids.tolist()], "<i4"),
        "ids": [passage_label(*passage) for passage in zip(points.doc_ids, points.passage_nos, strict=True)],
        "texts": points.texts,
        "topics": topics,
        "schemes": [*_by_theme(report, low, scale), *(_scheme(found) for found in points.colourings)],
        "unit": report.unit,
        "noise": int((points.topic_ids < 0).sum()),
    }


def _by_theme(report: Report, low: np.ndarray, scale: float) -> list[dict[str, Any]]:
    """The points by theme, of a generation that has themes; a theme's name is in the middle of its points."""
    points = report.points
    if not report.themes or not len(points):
        return []
    number = {theme.theme_id: i for i, theme in enumerate(report.themes)}
    place = np.array([number.get(i, -1) for i in points.theme_ids.tolist()])
    middles: list[tuple[float, float] | None] = []
    for i in range(len(report.themes)):
        own = place == i
        middles.append((float(np.median(points.x[own])), float(np.median(points.y[own]))) if own.any() else None)
    items = [
        {
            "title": theme.title,
            "size": theme.documents,
            "colour": colour,
            "at": None if at is None else [round((at[0] - low[0]) * scale), round((-at[1] - low[1]) * scale)],
        }
        for theme, colour, at in zip(report.themes, spread_colours(middles), middles, strict=True)
    ]
    return [{"name": "Theme", "items": items, "one": "theme", "rest": "No theme", **_places(place)}]


def _scheme(found: Colouring) -> dict[str, Any]:
    """A colouring as the script takes it; sizes are points on the map. A colour of −1 is that of noise."""
    sizes = np.bincount(found.place[found.place >= 0], minlength=len(found.labels)).tolist()
    last = len(found.labels) - 1 if found.others else len(found.labels)
    items = [
        {"title": label, "size": size, "colour": i if i < last else -1, "at": None}
        for i, (label, size) in enumerate(zip(found.labels, sizes, strict=True))
    ]
    return {"name": found.name, "items": items, "one": "value", "rest": "No value", **_places(found.place)} | (
        {"ordered": True} if found.ordered else {}
    )


def _places(place: np.ndarray) -> dict[str, Any]:
    """Places in a scheme's items, one byte each where these are few."""
    wide = int(place.max(initial=0)) > 127
    return {"of": _packed(place, "<i2" if wide else "<i1"), "wide": wide, "without": int((place < 0).sum())}


def _packed(values: Any, dtype: str) -> str:
    return base64.b64encode(np.rint(np.asarray(values)).astype(dtype).tobytes()).decode()


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
