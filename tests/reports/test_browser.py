"""The page in a real browser: it draws, reacts, shows text as text, and asks the network for nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.reports.browser import CHROMIUM, DRIVER, Browser, browser
from tests.reports.generation import write_documents, write_generation
from transforms.files import file_ref, read_json
from transforms.reports import read_report, render_html

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and chromedriver (Debian: apt install chromium chromium-driver)"
)

# The colours on the canvas that cover at least ten pixels, and a digest of the whole picture.
PICTURE = """
const canvas = document.getElementById("canvas");
const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
const counts = new Map();
let digest = 7;
for (const pixel of pixels) { counts.set(pixel, (counts.get(pixel) || 0) + 1); digest = (Math.imul(digest, 31) + pixel) | 0; }
return { colours: [...counts].filter(([, n]) => n >= 10).map(([c]) => [c & 255, (c >> 8) & 255, (c >> 16) & 255]), digest };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page full of texts that would run as a script if one of them were not escaped."""
    folder = tmp_path_factory.mktemp("report")
    write_generation(folder, evil=True)
    documents = pa.concat_tables(pq.read_table(part) for part in sorted(folder.glob("documents/*.parquet")))
    texts = dict(zip(documents["doc_id"].to_pylist(), documents["text"].to_pylist(), strict=True))
    one, other = sorted(texts)[:2]
    write_documents(folder / "parent", {doc_id: text for doc_id, text in texts.items() if doc_id != one} | {other: "before"})
    parent = [file_ref(str(part)) for part in sorted(folder.glob("parent/documents/*.parquet"))]
    report = read_report(str(folder), read_json(f"{folder}/metrics.json"), title="Pets", parent=parent)
    path = folder / "report.html"
    path.write_text(render_html(report))
    return path


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def opened(window: Browser, page: Path) -> Browser:
    window.log("browser")
    window.log("performance")
    window.open(page)
    window.run("document.getElementById('map').scrollIntoView({behavior: 'instant'})")
    window.frame()
    return window


def middle(window: Browser) -> tuple[float, float]:
    x, y, width, height = window.run(
        "const r = document.getElementById('canvas').getBoundingClientRect(); return [r.x, r.y, r.width, r.height]"
    )
    return x + width / 2, y + height / 2


def hues(colours: list[list[int]]) -> set[int]:
    """Saturated colours by their strongest and weakest channel: enough to tell blue from orange, blind to edges."""
    return {3 * c.index(max(c)) + c.index(min(c)) for c in colours if max(c) - min(c) > 80}


def test_the_map_draws_points_in_several_colours(opened: Browser) -> None:
    assert len(hues(opened.run(PICTURE)["colours"])) >= 2


def test_wheel_drag_keys_and_buttons_change_the_picture_and_reset_restores_it(opened: Browser) -> None:
    x, y = middle(opened)
    opened.mouse(x, 2)
    opened.frame()
    start = opened.run(PICTURE)["digest"]

    def picture() -> int:
        opened.frame()
        return opened.run(PICTURE)["digest"]

    opened.wheel(x, y, -240)
    opened.mouse(x, 2)
    zoomed = picture()
    opened.run(
        "document.getElementById('canvas').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowLeft', bubbles: true}))"
    )
    moved = picture()
    opened.run("document.getElementById('zoom-out').click()")
    assert len({start, zoomed, moved, picture()}) == 4
    opened.run("document.getElementById('zoom-reset').click()")
    assert picture() == start


def test_zoom_keeps_the_point_under_the_pointer(opened: Browser) -> None:
    """The tooltip names the same document before and after a zoom around it."""
    x, y = find_point(opened)
    before = tooltip(opened)
    opened.wheel(x, y, -120)
    opened.frame()
    assert tooltip(opened) == before


def find_point(window: Browser) -> tuple[float, float]:
    """Move the pointer over the canvas until a document answers."""
    spot = window.run("""
        const canvas = document.getElementById("canvas"), box = canvas.getBoundingClientRect();
        for (let y = 10; y < box.height; y += 8) for (let x = 10; x < box.width; x += 8) {
          const at = { clientX: box.x + x, clientY: box.y + y, bubbles: true };
          canvas.dispatchEvent(new PointerEvent("pointermove", at));
          if (!document.getElementById("tooltip").hidden) return [box.x + x, box.y + y];
        }
        return null;""")
    assert spot, "no point of the map has a tooltip"
    window.mouse(*spot)
    window.frame()
    return spot[0], spot[1]


def tooltip(window: Browser) -> str:
    return window.run("const t = document.getElementById('tooltip'); return t.hidden ? '' : t.textContent")


def test_hover_shows_the_document_as_text(opened: Browser) -> None:
    find_point(opened)
    shown = tooltip(opened)
    assert "Text number" in shown
    assert "<script>alert(1)" in shown
    assert opened.run("return document.querySelectorAll('#tooltip script, #tooltip img').length") == 0
    opened.mouse(2, 2)
    assert tooltip(opened) == ""


def test_a_topic_of_the_legend_stands_out_alone_and_escape_shows_all(opened: Browser) -> None:
    opened.mouse(2, 2)
    before = opened.run(PICTURE)
    opened.run("document.querySelector('#legend button').click()")
    opened.frame()
    assert opened.run("return document.getElementById('matches').textContent") == "16 documents of 40"
    assert opened.run("return document.querySelectorAll('#legend [aria-pressed=true]').length") == 1
    assert len(hues(opened.run(PICTURE)["colours"])) == 1
    opened.run("document.getElementById('canvas').dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape', bubbles: true}))")
    opened.frame()
    assert opened.run(PICTURE)["digest"] == before["digest"]


def test_search_counts_the_documents_whose_text_matches(opened: Browser) -> None:
    found = opened.run("""
        const input = document.getElementById("search"), out = document.getElementById("matches");
        input.value = "BOATS number";
        input.dispatchEvent(new Event("input"));
        return new Promise(done => setTimeout(() => done(out.textContent), 400));""")
    assert found == "20 documents of 40"


def colour(window: Browser, name: str) -> list[list[str]]:
    """Choose what the points are coloured by; the lines of the legend."""
    lines = window.run(
        """const chooser = document.getElementById("colour");
        const option = [...chooser.options].find(o => o.textContent.startsWith(arguments[0]));
        chooser.value = option.value;
        chooser.dispatchEvent(new Event("change"));
        const texts = (button) => [...button.querySelectorAll("span, data")].map(e => e.textContent);
        return [...document.querySelectorAll("#legend button")].map(texts);
        """,
        name,
    )
    window.frame()
    return lines


def test_points_are_coloured_by_theme_change_or_a_column(opened: Browser) -> None:
    opened.mouse(2, 2)
    matches = "return document.getElementById('matches').textContent"
    pictures = {opened.run(PICTURE)["digest"]}
    themes = colour(opened, "Theme")
    assert [[title[:14], size] for title, size in themes] == [["pets and ships", "28"], ["rest", "12"]]
    assert opened.run(matches) == "2 themes"
    pictures.add(opened.run(PICTURE)["digest"])
    assert colour(opened, "Change") == [["unchanged", "38"], ["new", "1"], ["changed", "1"]]
    opened.run("document.querySelectorAll('#legend button')[2].click()")
    assert opened.run(matches) == "1 document of 40"
    marks = colour(opened, "marks")
    assert [size for _, size in marks] == ["5"] * 8
    assert marks[0][0] == "0 – 20"
    assert opened.run(matches) == "8 values"
    pictures.add(opened.run(PICTURE)["digest"])
    kinds = colour(opened, "kind")
    assert [[title[:5], size] for title, size in kinds] == [["red</", "20"], ["green", "10"], ["No va", "10"]]
    pictures.add(opened.run(PICTURE)["digest"])
    assert len(pictures) == 4
    assert opened.run("return document.querySelectorAll('aside script, aside img').length") == 0
    find_point(opened)
    assert "kind" in tooltip(opened)
    # A topic of the table is shown among topics.
    opened.run("document.querySelector('.open').click(); document.querySelector('.show').click()")
    assert opened.run("return document.getElementById('colour').selectedOptions[0].textContent") == "Topic"
    assert opened.run(matches) == "16 documents of 40"


def test_search_finds_titles(opened: Browser) -> None:
    found = opened.run("""
        const input = document.getElementById("search"), out = document.getElementById("matches");
        input.value = "pets and ships";
        input.dispatchEvent(new Event("input"));
        return new Promise(done => setTimeout(() => done(out.textContent), 400));""")
    assert found == "32 documents of 40"


def test_topics_open_and_sort(opened: Browser) -> None:
    opened.run("document.querySelector('.open').click()")
    assert opened.run("return document.querySelector('.detail').hidden") is False
    assert opened.run("return document.querySelector('.open').getAttribute('aria-expanded')") == "true"
    order = "return [...document.querySelectorAll('.topics > tbody')].map(b => b.dataset.title.slice(0, 4))"
    opened.run("document.querySelector('[data-sort=title]').click()")
    assert opened.run(order) == ["boat", "cats"]
    opened.run("document.querySelector('[data-sort=title]').click()")
    assert opened.run(order) == ["cats", "boat"]


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window_and_colours_follow_the_scheme(opened: Browser, width: int, scheme: str) -> None:
    opened.devtools("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500)
    opened.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    opened.frame()
    assert opened.run("return document.documentElement.scrollWidth") <= width
    corner = opened.run("return [...document.getElementById('canvas').getContext('2d').getImageData(1, 1, 1, 1).data]")
    assert (sum(corner[:3]) < 200) == (scheme == "dark")
    opened.devtools("Emulation.clearDeviceMetricsOverride")
    opened.devtools("Emulation.setEmulatedMedia", features=[])


def test_no_error_no_foreign_script_and_no_request_leaves_the_file(opened: Browser, page: Path) -> None:
    find_point(opened)
    opened.run("document.querySelectorAll('button').forEach(button => button.click())")
    opened.frame()
    assert opened.log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in opened.log("performance")]
    requested = {e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"}
    assert requested <= {page.as_uri(), "data:,"}
    assert page.as_uri() in requested
    assert opened.run("return performance.getEntriesByType('resource').length") == 0
    # The policy itself: a script that asks is refused.
    refused = opened.run("""
        return new Promise(done => {
          document.addEventListener("securitypolicyviolation", event => done(event.effectiveDirective), { once: true });
          fetch("http://127.0.0.1:9/").catch(() => setTimeout(() => done("not refused"), 500));
        });""")
    assert refused == "connect-src"
