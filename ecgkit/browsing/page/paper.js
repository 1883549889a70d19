// ECG paper on a canvas: grid, explanation, traces, R peaks, zoom, and a caliper. All lengths are mm on the paper.
"use strict";

const INK = "#15151a", QUIET = "#6b6b73", FINE = "#fadcdc", BOLD = "#f0a8a8", PEAKS = "#1f5fa8", GAP = "#8a8a9638", CALIPER = "#b3261e";
const RAISES = "200, 50, 31", LOWERS = "47, 111, 196", LOOKS = "122, 63, 181"; // of an explanation, as in drawn pictures
const BAND = 2.6; // mm of the band under a trace
const WEAK = 0.08; // of the full colour: below it a stretch has none
const FINE_STEP = { ms: 10, unit: 0.05 }; // of the caliper by keys
const FIRST = { ms: 200, unit: 0.5 }; // the caliper that Enter places
const MARGIN = 3;
const LEAST = 1.9; // px per mm that a trace needs to be read; narrow windows begin there and move
const MOST = 40;
const FASTEST = 150; // ms: a shorter time is no RR interval
const NEAR = 9; // px within which an end of the caliper is taken hold of
const FONT = "system-ui, -apple-system, 'Segoe UI', Arial, sans-serif";

export class Paper {
  constructor(canvas, told) {
    this.canvas = canvas;
    this.told = told; // called with the text of the measurement, or ""
    this.page = null;
    this.measuring = true;
    this.showPeaks = true;
    this.caliper = null;
    this.pointers = new Map();
    this.view = { scale: 1, x: 0, y: 0 };
    this.map = null; // of an explanation: lead by lead, from -100 to 100
    this.layers = [this.drawGrid, this.drawMap, this.drawTraces, this.drawPeaks, this.drawCaliper];
    canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    canvas.addEventListener("pointermove", (event) => this.dragged(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.released(event));
    canvas.addEventListener("wheel", (event) => this.turned(event), { passive: false });
    new ResizeObserver(() => this.resized()).observe(canvas.parentElement);
  }

  // Show a page: its parts, and the traces in mm above their baselines.
  show(page, traces, keepView) {
    const same = keepView && this.page && this.page.height === page.height;
    this.page = page;
    this.traces = traces;
    this.caliper = null;
    this.told("");
    this.measure();
    if (!same) this.fit();
    else this.draw();
  }

  get width() { return this.page.width + 2 * MARGIN; }
  get height() { return this.page.height + 2 * MARGIN; }
  get least() { return Math.min(this.css.width / this.width, LEAST); }

  // The size of the canvas: as wide as its place, as high as the page needs, within the window.
  measure() {
    const width = this.canvas.parentElement.clientWidth;
    const scale = Math.max(width / this.width, LEAST);
    const roof = Math.max(260, window.innerHeight * (width < 700 ? 0.62 : 0.74));
    this.css = { width, height: Math.round(Math.min(this.height * scale, roof)) };
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.css.height * ratio);
    this.canvas.style.height = `${this.css.height}px`;
    this.ratio = ratio;
  }

  resized() {
    if (!this.page || this.canvas.hidden) return;
    const before = this.css.width;
    this.measure();
    if (before !== this.css.width) this.fit();
    else this.draw();
  }

  fit() {
    const wide = this.css.width / this.width;
    const whole = Math.min(wide, this.css.height / this.height);
    this.view = { scale: wide < LEAST ? LEAST : whole < 0.8 * wide ? wide : whole, x: 0, y: 0 };
    this.settle();
  }

  // Zoom about a point in px; by default the middle.
  zoom(factor, at = { x: this.css.width / 2, y: this.css.height / 2 }) {
    const { scale, x, y } = this.view;
    const next = Math.min(MOST, Math.max(this.least * 0.8, scale * factor));
    this.view = { scale: next, x: x + at.x / scale - at.x / next, y: y + at.y / scale - at.y / next };
    this.settle();
  }

  move(dx, dy) {
    this.view.x -= dx / this.view.scale;
    this.view.y -= dy / this.view.scale;
    this.settle();
  }

  // Keep the paper in the window; centre it where it is smaller.
  settle() {
    const inside = (at, whole, shown) => (whole <= shown ? (whole - shown) / 2 : Math.min(Math.max(at, 0), whole - shown));
    const { scale } = this.view;
    this.view.x = inside(this.view.x, this.width, this.css.width / scale);
    this.view.y = inside(this.view.y, this.height, this.css.height / scale);
    this.draw();
  }

  // px from the left and top of the canvas to mm on the grid, and back.
  toPaper(at) { return { x: this.view.x + at.x / this.view.scale - MARGIN, y: this.view.y + at.y / this.view.scale - MARGIN }; }
  px(x) { return (x + MARGIN - this.view.x) * this.view.scale; }
  py(y) { return (y + MARGIN - this.view.y) * this.view.scale; }

  draw() {
    if (!this.page) return;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    pen.fillStyle = "#ffffff";
    pen.fillRect(0, 0, this.css.width, this.css.height);
    for (const layer of this.layers) layer.call(this, pen);
  }

  drawGrid(pen) {
    const { width, height } = this.page;
    const sharp = (v) => (Math.round(v * this.ratio) + 0.5) / this.ratio;
    const lines = (step, skip, colour) => {
      pen.beginPath();
      for (let x = 0; x <= width; x += step) {
        if (skip && x % skip === 0) continue;
        pen.moveTo(sharp(this.px(x)), this.py(0));
        pen.lineTo(sharp(this.px(x)), this.py(height));
      }
      for (let y = 0; y <= height; y += step) {
        if (skip && y % skip === 0) continue;
        pen.moveTo(this.px(0), sharp(this.py(y)));
        pen.lineTo(this.px(width), sharp(this.py(y)));
      }
      pen.strokeStyle = colour;
      pen.lineWidth = 1 / this.ratio;
      pen.stroke();
    };
    if (this.view.scale * this.ratio >= 2.4) lines(1, 5, FINE);
    lines(5, 0, BOLD);
  }

  // Colour the stretches under the traces by an explanation; null removes the colours.
  explain(map) {
    this.map = map;
    this.draw();
  }

  drawMap(pen) {
    const { map, page, traces } = this;
    if (!map) return;
    pen.lineWidth = Math.max(4, BAND * this.view.scale);
    pen.lineCap = "butt";
    pen.lineJoin = "round";
    for (const panel of page.panels) {
      const own = map.values[map.leads.indexOf(panel.lead)];
      if (!own || panel.state !== "shown") continue;
      const base = page.baselines[panel.row], left = page.indent + panel.left, step = page.mm_per_second / page.fs;
      const first = page.start + panel.start;
      let strength = 0, drawn = null;
      const end = () => { if (drawn) { pen.strokeStyle = this.colour(strength); pen.stroke(drawn); } drawn = null; };
      for (let i = 0; i + 1 < panel.samples; i += 1) {
        const here = own[Math.floor((first + i / page.fs) * map.fs)] ?? 0;
        const rounded = Math.abs(here) < 100 * WEAK ? 0 : Math.round(here / 10) * 10 || Math.sign(here) * 10;
        const [a, b] = [traces[panel.offset + i], traces[panel.offset + i + 1]];
        if (rounded !== strength || Number.isNaN(a) || Number.isNaN(b)) end();
        if (!rounded || Number.isNaN(a) || Number.isNaN(b)) continue;
        strength = rounded;
        if (!drawn) { drawn = new Path2D(); drawn.moveTo(this.px(left + i * step), this.py(base - a)); }
        drawn.lineTo(this.px(left + (i + 1) * step), this.py(base - b));
      }
      end();
    }
  }

  colour(strength) {
    const rgb = this.map.attends && strength > 0 ? LOOKS : strength > 0 ? RAISES : LOWERS;
    return `rgba(${rgb}, ${(0.75 * (Math.abs(strength) / 100) ** 0.8).toFixed(2)})`;
  }

  drawTraces(pen) {
    const { page } = this;
    const line = Math.max(1, 0.28 * this.view.scale);
    for (const panel of page.panels) {
      const base = page.baselines[panel.row], left = page.indent + panel.left;
      if (panel.column) this.strokes(pen, [[left, base - 6, left, base - 3], [left, base + 3, left, base + 6]], QUIET, line * 0.7);
      if (panel.state !== "shown") {
        this.write(pen, panel.state, left + 1.5, base, 2.6, QUIET, "italic");
      } else this.drawTrace(pen, panel, left, base, line);
      const size = this.write(pen, panel.lead, left + panel.label[0], base - panel.label[1], 3.5, panel.state === "shown" ? INK : QUIET, "bold");
      if (panel.derived) this.write(pen, "derived", left + panel.label[0] + size + 0.8, base - panel.label[1], 2.4, QUIET, "italic");
    }
    if (!page.has_unit) return;
    for (const base of page.baselines) {
      const up = page.mm_per_unit;
      this.path(pen, [[2.5, base], [5, base], [5, base - up], [10, base - up], [10, base], [12.5, base]], INK, line);
    }
  }

  drawTrace(pen, panel, left, base, line) {
    const { page, traces } = this;
    const step = page.mm_per_second / page.fs;
    let gap = -1;
    pen.beginPath();
    let down = false;
    const holes = [];
    for (let i = 0; i < panel.samples; i += 1) {
      const y = traces[panel.offset + i];
      if (Number.isNaN(y)) {
        if (gap < 0) gap = i;
        down = false;
        continue;
      }
      if (gap >= 0) { holes.push([gap, i - 1]); gap = -1; }
      const at = [this.px(left + i * step), this.py(base - y)];
      if (down) pen.lineTo(...at);
      else pen.moveTo(...at);
      down = true;
    }
    if (gap >= 0) holes.push([gap, panel.samples - 1]);
    pen.strokeStyle = INK;
    pen.lineWidth = line;
    pen.lineJoin = "round";
    pen.stroke();
    pen.fillStyle = GAP;
    for (const [from, to] of holes) {
      const x = this.px(left + from * step - 0.2);
      pen.fillRect(x, this.py(base - 6), this.px(left + to * step + 0.2) - x, 12 * this.view.scale);
    }
  }

  drawPeaks(pen) {
    const { page } = this;
    if (!this.showPeaks || !page.peaks) return;
    for (const panel of page.panels.filter((one) => one.rhythm && one.state === "shown")) {
      let highest = 0;
      for (let i = 0; i < panel.samples; i += 1) {
        const y = this.traces[panel.offset + i];
        if (y > highest) highest = y;
      }
      const top = Math.max(page.baselines[panel.row] - highest - 2.2, 2);
      pen.fillStyle = PEAKS;
      for (const seconds of page.peaks.filter((s) => s <= panel.seconds)) {
        const x = this.px(page.indent + panel.left + seconds * page.mm_per_second), y = this.py(top), r = Math.max(3, 0.8 * this.view.scale);
        pen.beginPath();
        pen.moveTo(x - r, y - r);
        pen.lineTo(x + r, y - r);
        pen.lineTo(x, y + r * 0.7);
        pen.fill();
      }
    }
  }

  drawCaliper(pen) {
    if (!this.caliper) return;
    const { from, to, panel } = this.caliper;
    const base = this.page.baselines[panel.row];
    const [top, bottom] = [Math.min(from.y, to.y, base - 8) - 4, Math.max(from.y, to.y, base + 4) + 4];
    const [x, y] = [this.px(Math.min(from.x, to.x)), this.py(Math.min(from.y, to.y))];
    pen.fillStyle = "#b3261e1a";
    pen.fillRect(x, y, Math.abs(to.x - from.x) * this.view.scale, Math.abs(to.y - from.y) * this.view.scale);
    for (const end of [from, to]) {
      this.strokes(pen, [[end.x, top, end.x, bottom]], CALIPER, 1.5);
      this.strokes(pen, [[Math.min(from.x, to.x) - 2, end.y, Math.max(from.x, to.x) + 2, end.y]], CALIPER, 1);
    }
  }

  strokes(pen, lines, colour, width) {
    for (const [x1, y1, x2, y2] of lines) this.path(pen, [[x1, y1], [x2, y2]], colour, width);
  }

  path(pen, points, colour, width) {
    pen.beginPath();
    points.forEach(([x, y], i) => (i ? pen.lineTo(this.px(x), this.py(y)) : pen.moveTo(this.px(x), this.py(y))));
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.lineJoin = "miter";
    pen.stroke();
  }

  // Write a text with a white rim; return its width in mm.
  write(pen, text, x, y, size, colour, style) {
    const px = Math.max(11, size * this.view.scale);
    pen.font = `${style} ${px}px ${FONT}`;
    pen.lineJoin = "round";
    pen.lineWidth = Math.max(3, px / 4);
    pen.strokeStyle = "#ffffff";
    pen.strokeText(text, this.px(x), this.py(y));
    pen.fillStyle = colour;
    pen.fillText(text, this.px(x), this.py(y));
    return pen.measureText(text).width / this.view.scale;
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  pressed(event) {
    if (!this.page || event.button > 0) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.at(event));
    if (this.pointers.size > 1) { this.held = null; return; }
    if (!this.measuring || event.shiftKey) { this.held = "paper"; return; }
    const at = this.at(event);
    const end = this.caliper && ["from", "to"].find((one) => Math.abs(this.px(this.caliper[one].x) - at.x) < NEAR);
    if (end) { this.held = end; return; }
    const place = this.toPaper(at), panel = this.panelAt(place);
    if (!panel) return;
    const inside = this.inPanel(panel, place);
    this.caliper = { from: inside, to: inside, panel };
    this.held = "to";
  }

  dragged(event) {
    if (!this.pointers.has(event.pointerId)) return;
    const before = this.pointers.get(event.pointerId), now = this.at(event);
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const span = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
      this.zoom(span(now, other) / Math.max(1, span(before, other)), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (this.held === "paper") this.move(now.x - before.x, now.y - before.y);
    else if (this.held && this.caliper) {
      this.caliper[this.held] = this.inPanel(this.caliper.panel, this.toPaper(now));
      this.told(this.reading());
      this.draw();
    }
    this.pointers.set(event.pointerId, now);
  }

  released(event) {
    this.pointers.delete(event.pointerId);
    this.held = null;
    if (this.caliper && this.span() * this.view.scale < 2) this.clear();
  }

  turned(event) {
    if (!event.ctrlKey || !this.page) return;
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY / 250), this.at(event));
  }

  // Place a caliper by key in the middle of what is seen, on the nearest lead; in mm of the paper.
  place() {
    if (!this.page) return;
    const middle = this.toPaper({ x: this.css.width / 2, y: this.css.height / 2 });
    const panel = this.panelAt(middle) ?? this.page.panels[0];
    const wide = this.mm(FIRST.ms), left = this.page.indent + panel.left, right = left + panel.seconds * this.page.mm_per_second;
    const x = Math.max(left, Math.min(middle.x, right - 3 * wide)), y = this.page.baselines[panel.row]; // with room to grow
    const to = { x: x + wide, y: y - FIRST.unit * this.page.mm_per_unit };
    this.caliper = { from: this.inPanel(panel, { x, y }), to: this.inPanel(panel, to), panel };
    this.changed();
  }

  mm(ms) { return (ms / 1000) * this.page.mm_per_second; }

  // Move the caliper by steps to the right and up, or only its second end.
  nudge(right, up, sized) {
    const { from, to, panel } = this.caliper;
    const by = { x: right * this.mm(FINE_STEP.ms), y: -up * FINE_STEP.unit * this.page.mm_per_unit };
    const moved = (end) => this.inPanel(panel, { x: end.x + by.x, y: end.y + by.y });
    const next = { from: sized ? from : moved(from), to: moved(to), panel };
    const same = (a, b) => Math.abs(a - b) < 1e-6;
    // At the edge the caliper stays as it is, and is not squeezed.
    if (!sized && !(same(next.to.x - next.from.x, to.x - from.x) && same(next.to.y - next.from.y, to.y - from.y))) return;
    this.caliper = next;
    this.changed();
  }

  // Take the caliper to the next lead, or the one before, at the same time if that lead has it.
  jump(by) {
    const { page } = this, { from, to, panel } = this.caliper;
    const next = page.panels[page.panels.indexOf(panel) + by];
    if (!next) return;
    const dx = next.left - panel.left, dy = page.baselines[next.row] - page.baselines[panel.row];
    const moved = (end) => this.inPanel(next, { x: end.x + dx, y: end.y + dy });
    this.caliper = { from: moved(from), to: moved(to), panel: next };
    this.changed();
  }

  // Show what the caliper measures, and bring it into the window.
  changed() {
    const { from, to } = this.caliper, { scale } = this.view;
    const wide = this.css.width / scale, high = this.css.height / scale;
    const [left, right] = [Math.min(from.x, to.x) + MARGIN - 4, Math.max(from.x, to.x) + MARGIN + 4];
    const [top, bottom] = [Math.min(from.y, to.y) + MARGIN - 8, Math.max(from.y, to.y) + MARGIN + 8];
    if (right > this.view.x + wide) this.view.x = right - wide;
    if (left < this.view.x) this.view.x = left;
    if (bottom > this.view.y + high) this.view.y = bottom - high;
    if (top < this.view.y) this.view.y = top;
    this.told(this.reading());
    this.settle();
  }

  clear() {
    this.caliper = null;
    this.told("");
    this.draw();
  }

  // The panel at a place: that of the nearest baseline whose stretch of time it is in.
  panelAt(place) {
    const { page } = this;
    const inTime = page.panels.filter((panel) => {
      const left = page.indent + panel.left;
      return place.x >= left - 1 && place.x <= left + panel.seconds * page.mm_per_second + 1;
    });
    const far = (panel) => Math.abs(page.baselines[panel.row] - 3 - place.y);
    return inTime.sort((a, b) => far(a) - far(b))[0];
  }

  inPanel(panel, place) {
    const left = this.page.indent + panel.left;
    const right = left + panel.seconds * this.page.mm_per_second;
    return { x: Math.min(Math.max(place.x, left), right), y: Math.min(Math.max(place.y, 0), this.page.height) };
  }

  span() {
    const { from, to } = this.caliper;
    return Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y));
  }

  reading() {
    const { from, to, panel } = this.caliper;
    const ms = (1000 * Math.abs(to.x - from.x)) / this.page.mm_per_second;
    const high = (from.y - to.y) / this.page.mm_per_unit;
    const parts = [panel.lead, `${ms.toFixed(0)} ms`];
    if (ms >= FASTEST) parts.push(`${(60000 / ms).toFixed(0)} bpm`);
    const size = Math.abs(high).toFixed(2); // no minus sign before a number that rounds to zero
    parts.push(`${high < 0 && Number(size) ? "−" : ""}${size} ${this.page.unit}`);
    return parts.join(" · ");
  }
}
