// The page: search, table, one record, keys. Every text is set as text, so no name or report can become markup.
"use strict";
import { Paper } from "./paper.js";

const COUNT = 50; // records of a page of the table
const WATCH = 3000; // ms between looks at whether the store has changed
const find = (id) => document.getElementById(id);
const form = find("search");
const paper = new Paper(find("canvas"), measured);
const state = { about: null, version: 0, start: 0, total: 0, records: [], at: 0, row: null, from: 0, layout: "clinical", asked: 0, listed: 0, wish: 0 };

function node(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function say(place, text) {
  place.textContent = text;
  place.hidden = !text;
}

// Show what the caliper measures; once it rests, tell it to those who listen.
let resting = 0;
function measured(text) {
  say(find("reading"), text);
  clearTimeout(resting);
  const spoken = text.replaceAll(" · ", ", ").replace("bpm", "beats per minute");
  if (!text) find("told").textContent = "";
  else resting = setTimeout(() => { find("told").textContent = spoken; }, 400);
}

async function ask(path, parameters = {}) {
  const chosen = Object.entries(parameters).filter(([, value]) => value !== "");
  const response = await fetch(`api/${path}?${new URLSearchParams(chosen)}`);
  if (!response.ok) {
    let told = `The page cannot be answered (${response.status}).`;
    try { told = (await response.json()).error; } catch { /* no JSON: the sentence above stands */ }
    throw new Error(told);
  }
  return response;
}

const number = (value) => value.toLocaleString("en");
const searched = () => Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]));
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// ---------------------------------------------------------------- the table

async function list(start, at) {
  const turn = ++state.listed;
  let answer;
  try {
    answer = await (await ask("records", { ...searched(), start, count: COUNT })).json();
  } catch (error) {
    if (turn === state.listed) wrong(error.message);
    return;
  }
  if (turn !== state.listed) return;
  Object.assign(state, { start: answer.start, total: answer.total, records: answer.records });
  const { total, unknown } = answer;
  const all = state.about.records;
  let text = total === all ? `${number(all)} records` : `${number(total)} of ${number(all)} records`;
  if (unknown) text += `. Of ${number(unknown)} it is not known: the report is unsure or was not read, or a value is missing.`;
  find("found").textContent = text;
  find("found").classList.remove("wrong");
  fillTable(answer.records);
  if (answer.records.length) choose(at < 0 ? answer.records.length - 1 : Math.min(at, answer.records.length - 1));
  else nothing();
}

function wrong(text) {
  find("found").textContent = sentence(text);
  find("found").classList.add("wrong");
  Object.assign(state, { total: 0, records: [] });
  fillTable([]);
}

function fillTable(records) {
  const named = new Map((state.choices?.labels ?? []).map(([code, name]) => [code, name]));
  const withError = records.some((record) => record.error !== undefined);
  find("error-head").hidden = !withError;
  find("rows").replaceChildren(...records.map((record, i) => {
    const line = node("tr", null, { "data-at": i, "aria-selected": "false" });
    const first = node("td");
    first.append(node("b", record.record_id), node("small", record.labels.map((code) => named.get(code) || code).join(", ")));
    if (record.flags.length) first.append(node("small", record.flags.join(", "), { class: "flag" }));
    line.append(first, node("td", person(record)), node("td", record.fold));
    if (withError) line.append(node("td", record.error === null || record.error === undefined ? "–" : round(record.error)));
    return line;
  }));
  const last = state.start + records.length;
  find("page").textContent = records.length ? `${number(state.start + 1)}–${number(last)} of ${number(state.total)}` : "";
  find("page-back").disabled = state.start === 0;
  find("page-on").disabled = last >= state.total;
}

const person = (record) => [record.sex, record.age === null ? null : `${round(record.age, 0)} y`].filter((part) => part).join(", ") || "–";
const round = (value, digits = 3) => (Number.isInteger(value) ? String(value) : value.toFixed(digits));

function choose(at) {
  state.at = at;
  for (const line of find("rows").children) line.setAttribute("aria-selected", String(Number(line.dataset.at) === at));
  find("rows").children[at]?.scrollIntoView({ block: "nearest" });
  show(state.records[at].row);
}

// Go to the next or the previous record, on the next page of the table if need be.
function step(by) {
  const place = state.start + state.at + by;
  if (!state.records.length || place < 0 || place >= state.total) return;
  if (place >= state.start && place < state.start + state.records.length) choose(state.at + by);
  else list(by > 0 ? state.start + COUNT : Math.max(0, state.start - COUNT), by > 0 ? 0 : -1);
}

// ---------------------------------------------------------------- one record

function nothing() {
  state.row = null;
  state.asked += 1;
  find("record").textContent = "No record";
  find("place").textContent = "";
  say(find("damage"), "No record fits this search.");
  find("damage").setAttribute("role", "status");
  find("canvas").hidden = true;
  say(find("reading"), "");
  find("caption").textContent = "";
  find("about").hidden = true;
}

async function show(row, from = 0) {
  const turn = ++state.asked;
  const same = state.row === row;
  Object.assign(state, { row, from });
  const record = state.records[state.at];
  find("record").textContent = record.record_id;
  find("place").textContent = `${number(state.start + state.at + 1)} of ${number(state.total)}`;
  find("back").disabled = state.start + state.at === 0;
  find("on").disabled = state.start + state.at + 1 >= state.total;
  if (!same) unexplain();
  picture(turn, row, from, same);
  if (same) return;
  try {
    const details = await (await ask(`records/${row}`, { result: form.elements.result.value })).json();
    if (turn === state.asked) describe(details);
    const entities = await (await ask(`records/${row}/entities`)).json();
    if (turn === state.asked) fillEntities(entities);
  } catch (error) {
    if (turn === state.asked) { find("about").hidden = true; failed(error.message); }
  }
}

async function picture(turn, row, start, keepView) {
  try {
    const bytes = await (await ask(`records/${row}/picture`, { layout: state.layout, start })).arrayBuffer();
    if (turn !== state.asked) return;
    const length = new DataView(bytes).getUint32(0, true);
    const page = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    find("canvas").hidden = false;
    say(find("damage"), "");
    paper.show(page, new Float32Array(bytes, 4 + length), keepView);
    caption(page);
  } catch (error) {
    if (turn === state.asked) failed(error.message);
  }
}

// A record that cannot be shown is never an empty paper: the reason stands in its place.
function failed(text) {
  find("damage").setAttribute("role", "alert");
  say(find("damage"), sentence(text));
  find("canvas").hidden = true;
  say(find("reading"), "");
  find("caption").textContent = "";
  find("stretch").hidden = true;
}

function caption(page) {
  const place = find("caption");
  const gain = node(page.usual && page.has_unit ? "span" : "b", page.gain);
  const rest = [`${page.fs} Hz`, "unfiltered, as stored", page.note];
  if (!page.sequential) rest.push("every column shows the first 2.5 s");
  rest.push("each trace centred on its median");
  if (page.missing > 0) rest.push(`grey: ${(100 * page.missing).toFixed(1)} % of the samples are missing`);
  place.replaceChildren(`${page.mm_per_second} mm/s · `, gain, ` · ${rest.join(" · ")}`);
  find("canvas").setAttribute("aria-label", `ECG of record ${find("record").textContent}: leads ${[...new Set(page.panels.map((panel) => panel.lead))].join(", ")}`);
  find("stretch").hidden = page.whole <= 10.05;
  find("from").textContent = `from ${time(page.start)}`;
  find("earlier").disabled = page.start <= 0;
  find("later").disabled = page.start + 10 >= page.whole;
  state.whole = page.whole;
}

const time = (seconds) => [3600, 60, 1].map((unit, i) => String(Math.floor(seconds / unit) % (i ? 60 : 1000)).padStart(i ? 2 : 1, "0")).join(":");

function describe(details) {
  find("about").hidden = false;
  find("report").textContent = details.report ?? "This record has no report.";
  find("report").classList.toggle("none", details.report === null);
  find("entities").replaceChildren();
  find("labels").replaceChildren(...details.labels.map((code, i) => {
    const chip = node("li", details.label_names[i] || code);
    if (details.label_names[i]) chip.append(" ", node("small", code));
    return chip;
  }));
  if (!details.labels.length) find("labels").append(node("li", "none", { class: "unsure" }));
  find("flags").replaceChildren(...details.flags.map((flag) => node("li", `${flag}: ${state.about.meanings[flag] ?? ""}`)));
  fillRhythm(details.rhythm);
  const facts = [["patient", details.patient_id], ["person", person(details)], ["fold", details.fold], ["length", `${round(details.seconds, 2)} s`], ...details.facts];
  fillList(find("facts"), facts.filter(([, value]) => value !== null));
  fillPrediction(details.prediction);
  offerExplanation(details.prediction);
}

function fillList(place, pairs) {
  place.replaceChildren(...pairs.flatMap(([name, value]) => [node("dt", String(name).replaceAll("_", " ")), node("dd", Array.isArray(value) ? value.join(", ") : value)]));
}

function fillRhythm(rhythm) {
  find("part-rhythm").hidden = rhythm === null;
  if (!rhythm) return;
  const pairs = [["R peaks", `${rhythm.beats}, by ${rhythm.by}`]];
  if (rhythm.bpm) pairs.unshift(["heart rate", `${rhythm.bpm.toFixed(0)} bpm (median RR)`]);
  if (rhythm.rr_ms) pairs.push(["RR interval", `${rhythm.rr_ms[0].toFixed(0)} to ${rhythm.rr_ms[1].toFixed(0)} ms`]);
  if (rhythm.flag) pairs.push(["doubtful", rhythm.flag]);
  fillList(find("rhythm"), pairs);
}

function fillEntities(entities) {
  find("entities").replaceChildren(
    ...entities.present.map((name) => node("li", name)),
    ...entities.uncertain.map((name) => node("li", `${name}?`, { class: "unsure", title: "the report is unsure" })),
  );
}

function fillPrediction(prediction) {
  const result = state.about.results[Number(form.elements.result.value)];
  find("part-prediction").hidden = !result;
  if (!result) return;
  find("predicted-by").textContent = prediction
    ? `${result.task}: ${result.name} (${prediction.part} part)`
    : `${result.task}: ${result.name} did not predict this record.`;
  const lines = prediction ? prediction.lines : [];
  find("prediction").hidden = !lines.length;
  const sorted = result.numbers ? lines : [...lines].sort((a, b) => b.truth - a.truth || b.predicted - a.predicted);
  find("prediction").tBodies[0].replaceChildren(...sorted.map((line, i) => predicted(line, result, prediction.units[i])));
}

function predicted(line, result, unit) {
  const row = node("tr"), name = node("td"), value = node("td");
  name.append(node("b", line.name), node("small", line.words));
  if (result.numbers) {
    value.textContent = `${round(line.predicted)} ${unit}`;
    row.append(name, node("td", `${round(line.truth)} ${unit}`), value, node("td", `off by ${round(Math.abs(line.truth - line.predicted))}`));
    return row;
  }
  value.append(`${(100 * line.predicted).toFixed(1)} %`, bar(line));
  const known = line.threshold !== null, said = known && line.predicted >= line.threshold, there = line.truth === 1;
  const mark = !known ? "" : there && !said ? "missed" : !there && said ? "false alarm" : there ? "found" : "";
  const kind = mark === "found" ? "right" : mark.replace(" ", "-");
  row.append(name, node("td", there ? "yes" : "no"), value, node("td", mark, kind ? { class: kind } : {}));
  return row;
}

// A bar for a probability, with a mark at its threshold.
function bar(line) {
  const of = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const at = (value) => `${100 * Math.min(1, Math.max(0, value))}%`;
  const drawn = of("svg", { "aria-hidden": "true" });
  drawn.append(of("rect", { class: "all", width: "100%", height: 8, rx: 2 }), of("rect", { class: "value", width: at(line.predicted), height: 8, rx: 2 }));
  if (line.threshold !== null) drawn.append(of("line", { x1: at(line.threshold), x2: at(line.threshold), y1: -2, y2: 10 }));
  return drawn;
}

// ---------------------------------------------------------------- explanation

const POLL = 400; // ms between looks at how far an explanation is

function offerExplanation(prediction) {
  const number = form.elements.result.value, result = state.about.results[Number(number)];
  find("part-explanation").hidden = !result;
  if (!result) return;
  const place = find("explained-class"), before = place.value;
  find("wish").hidden = !result.explains;
  const best = [...(prediction?.lines ?? [])].sort((a, b) => b.predicted - a.predicted)[0]?.name;
  const asked = form.elements.target.value || (result.numbers ? before : best) || before;
  place.replaceChildren(...result.classes.map((name) => node("option", name, { value: name })));
  if (result.classes.includes(asked)) place.value = asked;
  if (!result.explains) telling("This result keeps no fitted head, so its predictions cannot be explained.");
}

function telling(text, wrong = false) {
  say(find("explaining"), text);
  find("explaining").classList.toggle("wrong", wrong);
}

// Ask for the explanation, and again until it is there; a newer wish or another record ends the asking.
async function explain() {
  unexplain();
  const turn = state.wish, row = state.row;
  const wish = { result: form.elements.result.value, target: find("explained-class").value, by: find("explained-by").value };
  find("explain").disabled = true;
  telling("Opening the model …");
  find("how-far").hidden = false;
  find("how-far").removeAttribute("value");
  try {
    let answer = await (await ask(`records/${row}/explanation`, { ...wish, begin: 1 })).json();
    while (turn === state.wish && answer.state !== "done") {
      progress(answer);
      await new Promise((resolve) => { setTimeout(resolve, POLL); });
      if (turn === state.wish) answer = await (await ask(`records/${row}/explanation`, { ...wish, begin: 1 })).json();
    }
    if (turn === state.wish) explained(answer);
  } catch (error) {
    if (turn !== state.wish) return;
    unexplain();
    telling(sentence(error.message), true);
  }
}

function progress(answer) {
  if (answer.state === "waiting") telling("Waiting for another explanation …");
  else if (answer.total) {
    telling(["Making the map …", "Leaving out leads and parts of the beat …", "Checking the map …", "Nearly done …"][answer.done] ?? "");
    Object.assign(find("how-far"), { max: answer.total + 1, value: answer.done + 0.5 });
  }
}

// Remove the explanation from the page; what the server has made it keeps.
function unexplain() {
  state.wish += 1;
  paper.map = null;
  if (paper.page) paper.draw();
  telling("");
  for (const id of ["how-far", "explanation", "legend"]) find(id).hidden = true;
  find("explain").disabled = false;
  if (state.about && !state.about.results[Number(form.elements.result.value)]?.explains && !find("part-explanation").hidden) telling("This result keeps no fitted head, so its predictions cannot be explained.");
}

function explained(answer) {
  telling("");
  find("how-far").hidden = true;
  find("explain").disabled = false;
  find("explanation").hidden = false;
  paper.explain({ leads: answer.leads, values: answer.map, fs: answer.fs, attends: answer.attends });
  say(find("legend"), sentence(answer.note));
  const { check } = answer, deleted = `Deleting its top tenth lowers the score by ${signed(check.fall)}, a random tenth by ${signed(check.random_fall)} (sd ${check.random_sd.toFixed(2)}).`;
  find("verdict").textContent = answer.passed ? `This map of ${answer.output} passes its check. ${deleted}` : `Do not read this map: its top parts count for no more than random parts. ${deleted}`;
  find("verdict").classList.toggle("doubt", !answer.passed);
  const chance = answer.probability === null ? "" : `Probability ${answer.probability.toFixed(3)}. `;
  const sum = answer.attends ? "" : `; the map adds up to ${signed(answer.sum)} of the difference`;
  const likeness = check.likeness === null ? "" : ` Likeness to the map of shuffled weights: ${signed(check.likeness)}.`;
  find("scores").textContent = `${chance}Score ${signed(answer.score)}, without any wave ${signed(answer.flat)}${sum}.${likeness}`;
  for (const [id, lines] of [["by-lead", answer.by_lead], ["by-part", answer.by_part]]) {
    const sorted = [...lines].sort((a, b) => b.share - a.share);
    find(id).tBodies[0].replaceChildren(...sorted.map((line) => {
      const row = node("tr");
      row.append(node("td", line.name), node("td", `${(100 * line.share).toFixed(1)} %`), node("td", line.fall === null ? "–" : signed(line.fall)));
      return row;
    }));
  }
}

// No minus sign before a number that rounds to zero.
const signed = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");

// ---------------------------------------------------------------- filters

function fillChoices() {
  const { labels, flags, folds, entities } = state.choices;
  const options = (name, pairs) => form.elements[name].append(...pairs.map(([value, text]) => node("option", text, { value })));
  options("label", labels.map(([code, name, n]) => [code, `${name ? `${name} · ${code}` : code} (${number(n)})`]));
  options("flag", flags.map(([flag, n]) => [flag, `${flag} (${number(n)})`]));
  options("fold", folds.map(([fold, n]) => [fold, `${fold} (${number(n)})`]));
  options("entity", entities.map(([name, n]) => [name, `${name} (${number(n)})`]));
  for (const name of ["label", "flag", "entity"]) form.elements[name].disabled = form.elements[name].length < 2;
}

function fillResults() {
  const { results, kinds, ways } = state.about;
  find("explained-by").append(...Object.entries(ways).map(([value, text]) => node("option", text, { value })));
  find("by-result").hidden = !results.length;
  form.elements.result.append(...results.map((result, i) => node("option", `${result.task}: ${result.name}`, { value: i })));
  form.elements.error.append(...Object.entries(kinds).map(([value, text]) => node("option", text, { value })));
  fillTargets();
}

function fillTargets() {
  const result = state.about.results[Number(form.elements.result.value)];
  form.elements.target.replaceChildren(node("option", "all", { value: "" }), ...(result?.classes ?? []).map((name) => node("option", name, { value: name })));
  form.elements.error.disabled = Boolean(result?.numbers);
  if (result?.numbers) form.elements.error.value = "";
}

function countFilters() {
  const set = Object.entries(searched()).filter(([name, value]) => value && name !== "text" && name !== "result").length;
  say(find("set"), set ? String(set) : "");
}

// ---------------------------------------------------------------- what happens

function search() {
  countFilters();
  state.row = null;
  list(0, 0);
}

let typed = 0;
form.addEventListener("input", (event) => {
  clearTimeout(typed);
  if (event.target.name === "result") fillTargets();
  typed = setTimeout(search, event.target.matches("input") ? 350 : 0);
});
form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typed); search(); });
form.addEventListener("reset", () => setTimeout(() => { fillTargets(); search(); }));
find("more").addEventListener("click", () => {
  const open = find("filters").hidden;
  find("filters").hidden = !open;
  find("more").setAttribute("aria-expanded", String(open));
});
find("rows").addEventListener("click", (event) => {
  const line = event.target.closest("tr");
  if (line) { choose(Number(line.dataset.at)); part("viewer"); }
});
find("page-back").addEventListener("click", () => list(Math.max(0, state.start - COUNT), 0));
find("page-on").addEventListener("click", () => list(state.start + COUNT, 0));

function press(id, on) { find(id).setAttribute("aria-pressed", String(on)); }

function measures(on) {
  paper.measuring = on;
  press("measure", on);
  press("move", !on);
  find("canvas").classList.toggle("measures", on);
  find("canvas").classList.toggle("moves", !on);
}

const moves = {
  back: () => step(-1),
  on: () => step(1),
  in: () => paper.zoom(1.35),
  out: () => paper.zoom(1 / 1.35),
  fit: () => paper.fit(),
  measure: () => measures(true),
  move: () => measures(false),
  peaks: () => { paper.showPeaks = !paper.showPeaks; press("peaks", paper.showPeaks); paper.draw(); },
  strips: () => { state.layout = state.layout === "strips" ? "clinical" : "strips"; press("strips", state.layout === "strips"); if (state.row !== null) show(state.row, state.from); },
  earlier: () => { if (state.from > 0) show(state.row, Math.max(0, state.from - 10)); },
  later: () => { if (state.row !== null && state.from + 10 < (state.whole ?? 0)) show(state.row, state.from + 10); },
  keys: () => find("help").showModal(),
  clear: () => paper.clear(),
  explain,
  unexplain,
};
for (const id of Object.keys(moves)) if (id !== "clear") find(id).addEventListener("click", moves[id]);
const KEYS = { ArrowRight: "on", j: "on", ArrowLeft: "back", k: "back", "+": "in", "=": "in", "-": "out", 0: "fit", c: "measure", v: "move", s: "strips", r: "peaks", "[": "earlier", "]": "later", "?": "keys", Escape: "clear" };
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const LEADS = { PageDown: 1, PageUp: -1 };
find("canvas").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !paper.page) return;
  if (event.key === "Enter") paper.place();
  else if (paper.caliper && ARROWS[event.key]) paper.nudge(...ARROWS[event.key], event.shiftKey);
  else if (paper.caliper && LEADS[event.key]) paper.jump(LEADS[event.key]);
  else return;
  event.preventDefault();
  event.stopPropagation(); // the arrows do not go to another record
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("help").open) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "/") { event.preventDefault(); form.elements.text.focus(); return; }
  if (KEYS[event.key]) { event.preventDefault(); moves[KEYS[event.key]](); }
});

function part(name) {
  document.body.classList.toggle("listing", name === "list");
  for (const tab of find("tabs").children) tab.setAttribute("aria-pressed", String(tab.dataset.part === name));
}
for (const tab of find("tabs").children) tab.addEventListener("click", () => part(tab.dataset.part));

function notice(text) {
  find("notice").firstElementChild.textContent = text;
  find("notice").hidden = !text;
}
find("reload").addEventListener("click", () => location.reload());

async function watch() {
  try {
    const now = await (await ask("state")).json();
    notice(now.changed || now.version !== state.version ? "The store has changed since this page was opened." : "");
  } catch {
    notice("The program behind this page has ended. Start it again with: ecgkit browse");
  }
  setTimeout(watch, WATCH);
}

async function begin() {
  part("viewer");
  measures(matchMedia("(pointer: fine)").matches);
  try {
    state.about = await (await ask("state", { about: 1 })).json();
  } catch (error) {
    notice(error.message);
    return;
  }
  const { name, dataset, records, results, left_out: left } = state.about;
  state.version = state.about.version;
  document.title = `${name} · ecgkit browse`;
  find("store").textContent = name;
  const shown = results.length ? ` · ${results.length} result${results.length > 1 ? "s" : ""}${left ? `, ${left} of other stores or without predictions left out` : ""}` : "";
  find("summary").textContent = `${dataset} · ${number(records)} records${shown}`;
  fillResults();
  await list(0, 0);
  setTimeout(watch, WATCH);
  try {
    state.choices = await (await ask("choices")).json();
    fillChoices();
    fillTable(state.records);
    for (const line of find("rows").children) line.setAttribute("aria-selected", String(Number(line.dataset.at) === state.at));
  } catch (error) {
    wrong(error.message);
  }
}

begin();
