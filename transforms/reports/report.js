"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const format = new Intl.NumberFormat("en");
  const byId = (id) => document.getElementById(id);
  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const count = (n, one) => `${format.format(n)} ${one}${n === 1 ? "" : "s"}`;

  // ---------------------------------------------------------------- table of topics
  const table = document.querySelector(".topics");
  if (table) {
    table.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.sort) sortTopics(button);
      else if (button.classList.contains("open")) {
        const open = button.getAttribute("aria-expanded") !== "true";
        button.setAttribute("aria-expanded", String(open));
        byId(button.getAttribute("aria-controls")).hidden = !open;
      } else if (button.classList.contains("show")) {
        selectTopic(Number(button.closest("tbody").dataset.topic));
        byId("map").scrollIntoView();
      }
    });
  }
  byId("all-topics")?.addEventListener("click", (event) => {
    table.classList.remove("folded");
    event.target.remove();
    table.querySelectorAll(".open")[20].focus();
  });
  function sortTopics(button) {
    const header = button.closest("th");
    const size = button.dataset.sort === "size";
    const first = size ? "descending" : "ascending";
    const other = size ? "ascending" : "descending";
    const order = header.getAttribute("aria-sort") === first ? other : first;
    for (const th of table.querySelectorAll("[aria-sort]")) th.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const compare = size
      ? (a, b) => a.dataset.size - b.dataset.size
      : (a, b) => a.dataset.title.localeCompare(b.dataset.title);
    table.append(...[...table.tBodies].sort((a, b) => sign * compare(a, b)));
  }

  // ---------------------------------------------------------------- map: data
  const canvas = byId("canvas");
  let selectTopic = () => {};
  if (!canvas) return;
  const unpack = (text, Type) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Type(bytes.buffer);
  };
  const xs = unpack(data.x, Uint16Array), ys = unpack(data.y, Uint16Array);
  const topic = unpack(data.topic, Int32Array), near = unpack(data.near, Int32Array);
  const n = xs.length, topics = data.topics, NONE = -2;

  // What the points can be coloured by: of[i] is the item of point i, -1 for none.
  const schemes = [
    { name: "Topic", of: topic, items: topics, one: "topic", rest: "Noise", without: data.noise },
    ...data.schemes.map((scheme) => ({ ...scheme, of: unpack(scheme.of, scheme.wide ? Int16Array : Int8Array) })),
  ];
  const themes = schemes.find((each) => each.one === "theme");
  let scheme = schemes[0], shades = []; // shades: a colour for each item

  // The first view holds 98 % of the points on each axis, so that a few far islands do not shrink all others to a dot.
  const middle = (values) => {
    const sorted = values.slice().sort(), last = n - 1;
    const low = sorted[Math.round(last * 0.01)], high = sorted[Math.round(last * 0.99)], room = 0.04 * (high - low);
    return [Math.max(sorted[0], low - room), Math.min(sorted[last], high + room)];
  };
  const [x0, x1] = middle(xs), [y0, y1] = middle(ys);

  // Points by cell of a grid: the points of cell c are cells[starts[c]] … cells[starts[c + 1] - 1].
  const GRID = 128, cellOf = (i) => (ys[i] >> 9) * GRID + (xs[i] >> 9);
  const starts = new Uint32Array(GRID * GRID + 1), cells = new Uint32Array(n);
  for (let i = 0; i < n; i++) starts[cellOf(i) + 1]++;
  for (let c = 0; c < GRID * GRID; c++) starts[c + 1] += starts[c];
  const next = starts.slice();
  for (let i = 0; i < n; i++) cells[next[cellOf(i)]++] = i;

  // ---------------------------------------------------------------- map: drawing
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  const view = { scale: 1, x: 0, y: 0, fit: 1 }; // canvas CSS pixel = data × scale + offset
  let width = 0, height = 0, ratio = 1, image = null, pixels = null;
  let ground = 0, inkText = "", haloText = "", noiseColour = 0, palette = [];
  let selected = NONE, hovered = -1, lit = null, litCount = 0; // lit: Uint8Array of points that stand out, or null

  // The class of an item's colour, and on an element where between low and high it is.
  const classOf = (k) => (scheme.ordered ? "ramp" : scheme.items[k].colour < 0 ? "noise" : "c" + scheme.items[k].colour);
  const setAt = (element, k) => element.style.setProperty("--at", k / Math.max(1, scheme.items.length - 1));
  function colourOf(name, property, k = 0) {
    const probe = make("i");
    probe.className = name;
    setAt(probe, k);
    probe.hidden = true;
    document.body.append(probe);
    const value = getComputedStyle(probe)[property];
    probe.remove();
    return value;
  }
  function rgb(css) { // any CSS colour as 0xBBGGRR
    const small = document.createElement("canvas").getContext("2d");
    small.fillStyle = css;
    small.fillRect(0, 0, 1, 1);
    const [r, g, b] = small.getImageData(0, 0, 1, 1).data;
    return r | (g << 8) | (b << 16);
  }
  function readColours() {
    const body = getComputedStyle(document.body);
    haloText = body.backgroundColor;
    inkText = body.color;
    ground = rgb(haloText);
    noiseColour = rgb(colourOf("noise", "color"));
    palette = Array.from({ length: 12 }, (_, i) => rgb(colourOf("c" + i, "color")));
    readShades();
  }
  function readShades() {
    const shade = (item, k) => (scheme.ordered ? rgb(colourOf("ramp", "color", k)) : item.colour < 0 ? noiseColour : palette[item.colour]);
    shades = Uint32Array.from(scheme.items, shade);
  }

  // A disc as offsets and coverage (0…256), so that a point is a few blends into the pixel array.
  function disc(radius) {
    const reach = Math.ceil(radius), dx = [], dy = [], cover = [];
    for (let v = -reach; v <= reach; v++) {
      for (let u = -reach; u <= reach; u++) {
        const edge = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(u, v)));
        if (edge > 0) { dx.push(u); dy.push(v); cover.push(edge * 256); }
      }
    }
    return { reach, dx: Int32Array.from(dx), dy: Int32Array.from(dy), cover: Float32Array.from(cover) };
  }
  function stamp(shape, px, py, colour, alpha) {
    const w = image.width, h = image.height, { reach, dx, dy, cover } = shape;
    if (px < -reach || py < -reach || px >= w + reach || py >= h + reach) return;
    const inside = px >= reach && py >= reach && px < w - reach && py < h - reach;
    const r = colour & 255, g = (colour >> 8) & 255, b = (colour >> 16) & 255;
    for (let k = 0; k < dx.length; k++) {
      const u = px + dx[k], v = py + dy[k];
      if (!inside && (u < 0 || v < 0 || u >= w || v >= h)) continue;
      const at = v * w + u, old = pixels[at], a = (cover[k] * alpha) | 0;
      const or = old & 255, og = (old >> 8) & 255, ob = (old >> 16) & 255;
      pixels[at] = 0xff000000 | (or + (((r - or) * a) >> 8)) | ((og + (((g - og) * a) >> 8)) << 8) |
        ((ob + (((b - ob) * a) >> 8)) << 16);
    }
  }

  const baseRadius = Math.min(3.6, Math.max(1.05, 230 / Math.sqrt(n + 400)));
  const pointRadius = () => Math.min(7, baseRadius * Math.pow(view.scale / view.fit, 0.4));
  function draw() {
    const radius = pointRadius() * ratio, scale = view.scale * ratio, left = view.x * ratio, top = view.y * ratio;
    const full = disc(radius), thin = disc(Math.max(0.7 * ratio, radius * 0.8));
    const of = scheme.of;
    pixels.fill(0xff000000 | ground);
    for (let i = 0; i < n; i++) {
      if (lit && lit[i]) continue;
      const t = of[i], quiet = lit !== null || t < 0;
      stamp(quiet ? thin : full, (xs[i] * scale + left) | 0, (ys[i] * scale + top) | 0,
        quiet ? noiseColour : shades[t], lit ? 0.3 : t < 0 ? 0.5 : 0.8);
    }
    if (lit) {
      const strong = disc(radius * (litCount < 400 ? 1.5 : 1.15));
      for (let i = 0; i < n; i++) {
        if (!lit[i]) continue;
        const t = of[i];
        stamp(strong, (xs[i] * scale + left) | 0, (ys[i] * scale + top) | 0,
          t < 0 ? noiseColour : shades[t], 0.95);
      }
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.putImageData(image, 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    drawLabels();
    if (hovered >= 0) {
      context.beginPath();
      context.arc(xs[hovered] * view.scale + view.x, ys[hovered] * view.scale + view.y, pointRadius() + 3, 0, 7);
      context.lineWidth = 2;
      context.strokeStyle = inkText;
      context.stroke();
    }
  }
  function drawLabels() {
    context.font = "600 12.5px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, 'Liberation Sans', sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const taken = [];
    const most = Math.round(12 * Math.max(1, Math.min(4, (width / 800) * (view.scale / view.fit))));
    // Values of a column have no place: topics then say where one is.
    const items = scheme.items.some((item) => item.at) ? scheme.items : topics;
    const order = selected >= 0 && items === scheme.items ? [selected] : items.keys();
    for (const i of order) {
      const { title, at } = items[i];
      if (!at || taken.length >= most) continue;
      const x = at[0] * view.scale + view.x, y = at[1] * view.scale + view.y;
      if (x < 0 || y < 12 || x > width || y > height - 12) continue;
      const text = title.length > 34 ? title.slice(0, 33).trimEnd() + "…" : title;
      const half = context.measureText(text).width / 2 + 7;
      const middle = Math.min(Math.max(x, half), width - half);
      if (half * 2 > width || taken.some((b) => Math.abs(b.x - middle) < b.half + half && Math.abs(b.y - y) < 25)) continue;
      taken.push({ x: middle, y, half });
      context.lineWidth = 4;
      context.strokeStyle = haloText;
      context.globalAlpha = 0.88;
      context.strokeText(text, middle, y);
      context.globalAlpha = lit && selected < 0 ? 0.55 : 1;
      context.fillStyle = inkText;
      context.fillText(text, middle, y);
      context.globalAlpha = 1;
    }
  }
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; if (image) draw(); });
  }

  // ---------------------------------------------------------------- map: view
  function reset() {
    const margin = Math.min(36, width * 0.06);
    view.fit = Math.min((width - 2 * margin) / (x1 - x0 || 1), (height - 2 * margin) / (y1 - y0 || 1));
    view.scale = view.fit;
    view.x = (width - (x0 + x1) * view.scale) / 2;
    view.y = (height - (y0 + y1) * view.scale) / 2;
    redraw();
  }
  function zoom(factor, x, y) {
    const scale = Math.min(view.fit * 200, Math.max(view.fit * 0.2, view.scale * factor));
    view.x = x - (x - view.x) * (scale / view.scale);
    view.y = y - (y - view.y) * (scale / view.scale);
    view.scale = scale;
    redraw();
  }
  function move(dx, dy) { view.x += dx; view.y += dy; redraw(); }
  function resize() {
    const box = canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const atRest = !image || (view.scale === view.fit);
    ratio = Math.min(2, window.devicePixelRatio || 1);
    width = box.width;
    height = box.height;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    image = context.createImageData(canvas.width, canvas.height);
    pixels = new Uint32Array(image.data.buffer);
    if (atRest) reset(); else redraw();
  }

  // ---------------------------------------------------------------- map: what stands out
  const search = byId("search"), matches = byId("matches"), legend = byId("legend");
  let haystack = null;
  const titleOf = (each, i) => (each && each.of[i] >= 0 ? each.items[each.of[i]].title : "");
  const textOf = (id, i) => `${id}\n${data.texts[i]}\n${titleOf(schemes[0], i)}\n${titleOf(themes, i)}`;
  function light() {
    const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (selected === NONE && !terms.length) {
      lit = null;
      matches.textContent = count(scheme.items.length, scheme.one);
    } else {
      if (terms.length && !haystack) haystack = data.ids.map((id, i) => textOf(id, i).toLowerCase());
      const of = scheme.of;
      lit = new Uint8Array(n);
      litCount = 0;
      for (let i = 0; i < n; i++) {
        if (selected !== NONE && of[i] !== selected) continue;
        if (!terms.every((term) => haystack[i].includes(term))) continue;
        lit[i] = 1;
        litCount++;
      }
      matches.textContent = count(litCount, data.unit) + (litCount < n ? ` of ${format.format(n)}` : "");
    }
    for (const button of legend.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.item) === selected));
    }
    redraw();
  }
  function select(which) {
    selected = selected === which ? NONE : which;
    light();
  }
  const chooser = byId("colour");
  chooser.append(...schemes.map((each, k) => new Option(each.name, k)));
  chooser.addEventListener("change", () => colourBy(schemes[Number(chooser.value)]));
  function colourBy(chosen) {
    scheme = chosen;
    chooser.value = String(schemes.indexOf(chosen));
    selected = NONE;
    readShades();
    fillLegend();
    light();
  }
  selectTopic = (which) => {
    colourBy(schemes[0]);
    select(which);
  };
  function legendItem(which, title, size, className) {
    const item = make("li"), button = make("button");
    button.type = "button";
    button.dataset.item = which;
    button.setAttribute("aria-pressed", "false");
    button.title = title;
    const dot = make("i", undefined, "dot " + className);
    setAt(dot, which);
    button.append(dot, make("span", title), make("data", format.format(size)));
    button.addEventListener("click", () => select(which));
    item.append(button);
    return item;
  }
  function fillLegend() {
    legend.replaceChildren(...scheme.items.map((item, k) => legendItem(k, item.title, item.size, classOf(k))));
    if (scheme.without) legend.append(legendItem(-1, scheme.rest, scheme.without, "noise"));
  }
  fillLegend();
  let typing = 0;
  search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(light, 120); });

  // ---------------------------------------------------------------- map: pointer and keys
  const tooltip = byId("tooltip");
  function nearest(px, py) {
    const reach = Math.max(10, pointRadius() + 4), span = reach / view.scale;
    const x = (px - view.x) / view.scale, y = (py - view.y) / view.scale;
    const cell = (v) => Math.min(GRID - 1, Math.max(0, v >> 9));
    let best = -1, limit = span * span;
    for (let row = cell(y - span); row <= cell(y + span); row++) {
      for (let column = cell(x - span); column <= cell(x + span); column++) {
        const c = row * GRID + column;
        for (let k = starts[c]; k < starts[c + 1]; k++) {
          const i = cells[k], d = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
          if (d < limit && !(lit && litCount && !lit[i])) { limit = d; best = i; }
        }
      }
    }
    return best;
  }
  function hover(px, py) {
    const i = nearest(px, py);
    if (i !== hovered) { hovered = i; redraw(); }
    tooltip.hidden = i < 0;
    if (i < 0) return;
    const place = topic[i] >= 0 ? topics[topic[i]].title : near[i] >= 0 ? `Noise, nearest to ${topics[near[i]].title}` : "Noise";
    const name = make("b", data.ids[i]), text = make("p", data.texts[i]), line = make("span", place, "note");
    name.dir = text.dir = line.dir = "auto";
    tooltip.replaceChildren(name, line);
    if (scheme !== schemes[0]) {
      const own = make("span", `${scheme.name}: ${scheme.of[i] < 0 ? scheme.rest : titleOf(scheme, i)}`, "note own");
      own.dir = "auto";
      tooltip.append(own);
    }
    if (data.texts[i]) tooltip.append(text);
    const x = px + 16 + tooltip.offsetWidth > width ? px - 16 - tooltip.offsetWidth : px + 16;
    const y = py + 16 + tooltip.offsetHeight > height ? py - 16 - tooltip.offsetHeight : py + 16;
    tooltip.style.transform = `translate(${Math.max(4, Math.min(x, width - tooltip.offsetWidth - 4))}px, ${Math.max(4, y)}px)`;
  }
  function unhover() { hovered = -1; tooltip.hidden = true; redraw(); }

  const pointers = new Map();
  let travelled = 0;
  const spot = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, spot(event));
    travelled = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = spot(event), last = pointers.get(event.pointerId);
    if (!last) { hover(now.x, now.y); return; }
    travelled += Math.abs(now.x - last.x) + Math.abs(now.y - last.y);
    if (pointers.size === 1) {
      if (travelled > 4) { canvas.classList.add("dragging"); unhover(); }
      move(now.x - last.x, now.y - last.y);
    } else { // two fingers: zoom around and move with the other one
      for (const [id, other] of pointers) {
        if (id === event.pointerId) continue;
        const before = Math.hypot(last.x - other.x, last.y - other.y), after = Math.hypot(now.x - other.x, now.y - other.y);
        if (before > 0) zoom(after / before, other.x, other.y);
      }
    }
    pointers.set(event.pointerId, now);
  });
  const release = (event) => {
    const known = pointers.delete(event.pointerId);
    canvas.classList.remove("dragging");
    if (!known || travelled > 4 || event.type !== "pointerup") return;
    const { x, y } = spot(event), i = nearest(x, y);
    hover(x, y);
    if (i >= 0 && event.pointerType === "mouse" && event.detail < 2) pick(i);
  };
  let picking = 0; // a click waits for the second one of a double-click, which resets instead
  function pick(i) {
    clearTimeout(picking);
    picking = setTimeout(() => select(scheme.of[i]), 220);
  }
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", unhover);
  canvas.addEventListener("dblclick", () => { clearTimeout(picking); reset(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = spot(event), lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0018)), x, y);
    hover(x, y);
  }, { passive: false });
  const keys = {
    ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
    "+": () => zoom(1.4, width / 2, height / 2), "=": () => zoom(1.4, width / 2, height / 2),
    "-": () => zoom(1 / 1.4, width / 2, height / 2), 0: reset, Home: reset,
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("zoom-in").addEventListener("click", () => zoom(1.6, width / 2, height / 2));
  byId("zoom-out").addEventListener("click", () => zoom(1 / 1.6, width / 2, height / 2));
  byId("zoom-reset").addEventListener("click", reset);
  byId("map").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    search.value = "";
    selected = NONE;
    unhover();
    light();
  });

  const repaint = () => { readColours(); redraw(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  const printing = (scheme) => () => { // paper is light, and the event comes before the styles for print apply
    document.documentElement.style.colorScheme = scheme;
    readColours();
    if (image) draw();
  };
  addEventListener("beforeprint", printing("light"));
  addEventListener("afterprint", printing(""));
  light();
  readColours();
  new ResizeObserver(resize).observe(canvas);
})();
