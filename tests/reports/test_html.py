import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reports.generation import EVIL, metrics, worker, write_assignments, write_documents
from transforms.files import read_json
from transforms.reports import ReportOptions, read_report, render_html
from transforms.reports.html import COLOURS, assign_colours, embed_json
from transforms.reports.sections import FOLDED, escape
from transforms.reports.summary import Topic


class Page(HTMLParser):
    """What a parser sees: elements with attributes, text outside scripts, and the scripts and styles themselves."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")
        if tag not in ("meta", "link", "input", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]][-1] += data
        else:
            self.text += data


def page_of(folder: Path, **keywords) -> tuple[Page, str]:
    values = read_json(f"{folder}/metrics.json") if (folder / "metrics.json").exists() else metrics()
    html = render_html(read_report(str(folder), values, **keywords))
    return Page(html), html


def test_the_page_shows_what_the_generation_holds(generation: Path) -> None:
    page, _ = page_of(generation, title="Pets & co", configuration={"corpus": {"text_column": "body"}})
    for text in ("Pets & co", "40 documents", "23 November 2026, 20:13 UTC", "all-MiniLM-L6-v2", "0.9912", "2 min 28 s",
                 "1.7 GB", "1,234,567 texts embedded", "cats", "boats", "empty-text", "text_column", "4 pairs by cosine",
                 "0.850", "section pets", "Text number 6 about cats"):  # fmt: skip
        assert text in page.text, text
    assert "hunter2" not in page.text
    assert not page.unbalanced


def test_pairs_that_are_left_out_are_counted_on_the_page(generation: Path) -> None:
    told = render_html(read_report(str(generation), metrics(pairs_dropped=4321)))
    assert "pairs left out: a text has too many</dt><dd>4,321" in told
    assert "left out" not in render_html(read_report(str(generation), metrics(pairs_dropped=0)))


def test_the_page_says_which_worker_did_what(tmp_path: Path) -> None:
    values = metrics()
    assert "Workers" not in Page(render_html(read_report(str(tmp_path), values))).text
    values["stages"]["embed"]["workers"] = [worker("one<b>:12", 3, 41), worker("two:9", 5, 1234526)]
    page = Page(render_html(read_report(str(tmp_path), values)))
    assert page.unbalanced == []
    text = page.text[page.text.index("Workers") :]
    for shown in ("one<b>:12", "two:9", "41 texts embedded", "1,234,526 texts embedded"):
        assert shown in text
    assert "b" not in {name for name, _ in page.elements}


def test_ids_are_unique_and_references_exist(generation: Path) -> None:
    page, _ = page_of(generation)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.elements:
        for name in ("aria-controls", "aria-labelledby", "aria-describedby", "for"):
            assert attributes.get(name, ids[0]) in ids, (tag, attributes)
        if tag == "a":
            assert attributes["href"][1:] in ids


def test_no_text_of_the_corpus_becomes_markup(generation: Path, evil_generation: Path) -> None:
    plain, _ = page_of(generation, title="x")
    evil, html = page_of(evil_generation, title=EVIL, configuration={EVIL: [EVIL]})
    tags = {tag for tag, _ in plain.elements} | {"details", "summary", "pre"}
    assert {tag for tag, _ in evil.elements} <= tags
    assert "img" not in tags
    assert [dict(a).get("type") for tag, a in evil.elements if tag == "script"] == ["application/json", None]
    assert not [a for _, a in evil.elements if any(name.startswith("on") or name == "style" for name in a)]
    assert not evil.unbalanced
    assert "\0" not in html
    assert "alert(1)" in evil.text  # it is shown, as text
    data = json.loads(evil.raw["script"][0])
    # The script gets the texts as they are (white space collapsed) and puts them on the page as text nodes.
    assert all("</script><script>alert(1)" in text for text in [*data["ids"], *data["texts"]])


def test_warnings_are_the_first_thing_on_the_page_and_escaped(generation: Path, evil_generation: Path) -> None:
    page, html = page_of(generation)
    assert "the model is not for this" in page.text
    assert html.index("the model is not for this") < html.index('class="tiles"')
    _, html = page_of(evil_generation)
    assert "the model is not for this&lt;/script&gt;" in html
    quiet = render_html(read_report(str(generation), metrics()))
    assert "<ul class='warnings'" not in quiet


def test_scripts_of_the_page_never_parse_text_as_markup() -> None:
    script = (Path(__file__).parents[2] / "transforms/reports/report.js").read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|fetch\(|XMLHttp", script
    )


def test_the_policy_allows_this_script_and_style_and_nothing_else(generation: Path) -> None:
    page, _ = page_of(generation)
    policy = next(a["content"] for tag, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"

    assert rules == {
        "default-src": "'none'", "script-src": digest(page.raw["script"][1]), "style-src": digest(page.raw["style"][0]),
        "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


def test_nothing_in_the_page_names_another_place(generation: Path) -> None:
    page, _ = page_of(generation)
    targets = [value for _, a in page.elements for name, value in a.items() if name in ("src", "href", "action", "srcset")]
    anchors = {"#map", "#themes", "#topics", "#metadata", "#changes", "#duplicates", "#quality", "#quarantine", "#run"}
    assert set(targets) <= {"data:,", *anchors}
    assert "@import" not in page.raw["style"][0]
    assert "url(" not in page.raw["style"][0]


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_embedded_json_reads_back_and_cannot_leave_its_element(value: object) -> None:
    text = embed_json(value)
    assert json.loads(text) == value
    assert not set("<>&\u2028\u2029") & set(text)


@given(st.text())
def test_escaped_text_is_only_text_and_reads_back(text: str) -> None:
    page = Page(f"<p title='{escape(text)}'>{escape(text)}</p>")
    shown = "".join("\ufffd" if (c < " " and c not in "\t\n") or "\x7f" <= c <= "\x9f" else c for c in text)
    assert page.elements == [("p", {"title": shown})]
    assert page.text == shown


def test_packed_points_read_back(generation: Path) -> None:
    page, _ = page_of(generation)
    data = json.loads(page.raw["script"][0])
    report = read_report(str(generation), metrics())
    x, y = (np.frombuffer(base64.b64decode(data[name]), "<u2").astype(float) for name in "xy")
    span = float(max(np.ptp(report.points.x), np.ptp(report.points.y)))
    assert x * span / 65535 + report.points.x.min() == pytest.approx(report.points.x, abs=span / 65535)
    assert -(y * span / 65535) + report.points.y.max() == pytest.approx(report.points.y, abs=span / 65535)
    titles = [report.topics[i].topic_id if i >= 0 else -1 for i in np.frombuffer(base64.b64decode(data["topic"]), "<i4")]
    assert titles == report.points.topic_ids.tolist()
    assert data["noise"] == 8


def test_a_sampled_map_says_so(generation: Path) -> None:
    report = read_report(str(generation), metrics(), ReportOptions(map_points=7))
    page = Page(render_html(report))
    assert "7 of 40 documents, sampled by the hash of their ids" in page.text


def test_an_empty_generation_is_a_page(tmp_path: Path) -> None:
    page, _ = page_of(tmp_path)
    for text in (
        "0 documents",
        "no map",
        "No topics were found",
        "No group",
        "Recall was not measured",
        "Nothing was rejected",
    ):
        assert text in page.text, text
    assert not page.unbalanced


def test_one_document_without_text(tmp_path: Path) -> None:
    write_documents(tmp_path, {"only": "secret text"}, keep_text=False)
    write_assignments(tmp_path, [("only", -1, -1, 0.0, 0.0)])
    page, html = page_of(tmp_path)
    assert "1 document, one point each" in page.text
    assert "secret text" not in html


def test_same_input_same_bytes(generation: Path) -> None:
    assert page_of(generation)[1] == page_of(generation)[1]


def topic(i: int, position: tuple[float, float] | None) -> Topic:
    return Topic(i, f"u{i}", 10, f"t{i}", (), (), position)


def test_colours_differ_until_they_run_out_then_repeat_far_away() -> None:
    line = tuple(topic(i, (float(i), 0.0)) for i in range(COLOURS + 1))
    colours = assign_colours((*line, topic(99, None)))
    assert sorted(colours[:COLOURS]) == list(range(COLOURS))
    assert colours[COLOURS] == colours[0]
    assert 0 <= colours[-1] < COLOURS


def test_stylesheet_and_code_agree() -> None:
    folder = Path(__file__).parents[2] / "transforms/reports"
    css, script = (folder / "report.css").read_text(), (folder / "report.js").read_text()
    assert [int(n) for n in re.findall(r"^  --c(\d+):", css, re.MULTILINE)] == list(range(COLOURS))
    assert f"length: {COLOURS} " in script
    assert css.count(f"nth-of-type(n + {FOLDED + 1})") == 2
    assert f"[{FOLDED}].focus" in script
