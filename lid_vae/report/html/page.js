"use strict";
// What the page does beyond showing: everything it shows stands in the HTML and needs none of this.

const tables = JSON.parse(document.getElementById("report-data").textContent);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Numbers, as Python's format() writes them: what lies just between two is rounded to the even one.
function fixed(value, digits) {
  const scaled = Math.abs(value) * 10 ** digits;
  if (!Number.isInteger(value * 2 ** (digits + 1)) || scaled % 1 !== 0.5) return value.toFixed(digits);
  const even = 2 * Math.round(scaled / 2);
  return (value < 0 ? "-" : "") + (even / 10 ** digits).toFixed(digits);
}

function sum(values) {
  // Neumaier (1974): the last digit is that of the exact sum.
  let total = 0, lost = 0;
  for (const value of values) {
    const next = total + value;
    lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
    total = next;
  }
  return total + lost;
}

// Mean and deviation of a measure over the chosen seeds of a row, as texts; as in the table, none where a run lacks it.
function summary(row, place, measure, chosen) {
  const runs = chosen.filter((seed) => seed in row.runs).map((seed) => row.runs[seed]);
  const values = runs.map((run) => run.values[place]);
  if (!values.length || values.includes(null)) return { value: null, mean: "-", deviation: null, state: null };
  const mean = sum(values) / values.length;
  const digits = Math.abs(mean) >= 10 ? Math.min(measure.digits, 2) : measure.digits;
  const spread = Math.sqrt(sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1));
  const states = runs.map((run) => run.states[measure.key]);
  return {
    value: mean,
    mean: fixed(measure.least === null ? mean : Math.max(mean, measure.least), digits),
    deviation: values.length > 1 ? fixed(spread, digits) : null,
    state: ["collapsed", "partly"].find((state) => states.includes(state)) || null,
  };
}

const shown = (found) => (found.deviation === null ? found.mean : `${found.mean} (${found.deviation})`);

// The choice of seeds.
function prepareSeeds(tools, table) {
  const boxes = all("input", tools);
  const cells = all(`table[data-table="${tools.dataset.table}"] tbody td`).map((cell) => ({
    cell, className: cell.className, value: cell.dataset.value, nodes: [...cell.childNodes],
  }));
  table.seeds = boxes.map((box) => box.value);
  table.chosen = table.seeds;
  const update = () => {
    table.chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    const whole = table.chosen.length === boxes.length;
    for (const one of cells) whole ? restore(one) : recompute(one, table);
    all(`table[data-table="${tools.dataset.table}"]`).forEach((element) => {
      element.classList.toggle("chosen", !whole);
      resort(element);
    });
    table.redraw?.();
    tools.querySelector(".status").textContent = whole ? "" : said(table);
  };
  boxes.forEach((box) => box.addEventListener("change", update));
  tools.querySelector(".all").addEventListener("click", () => {
    boxes.forEach((box) => { box.checked = true; });
    update();
  });
}

function said(table) {
  if (!table.chosen.length) return "No seed is chosen.";
  return `Of seeds ${table.chosen.join(", ")} alone: means, deviations and marks of collapse. Bold, intervals, ` +
    `differences, tests and times need all seeds and are left out; the finding ${byAll(table)} of all.`;
}

function byAll(table) {
  const unknown = table.charts.some((chart) => chart.rows.some((curve) => !curve.seeds));
  return unknown ? "and the curves are" : "is";
}

function restore(one) {
  one.cell.className = one.className;
  one.cell.replaceChildren(...one.nodes);
  if (one.value !== undefined) one.cell.dataset.value = one.value;
}

function recompute(one, table) {
  const row = table.rows[one.cell.closest("tr").dataset.row];
  const { key } = one.cell.dataset;
  restore(one);
  if (key === "seeds") {
    const count = table.chosen.filter((seed) => seed in row.runs).length;
    write(one.cell, `${count} of ${row.expected}`, count);
  } else if (key === "total") {
    write(one.cell, "-", null);
  } else {
    const place = table.measures.findIndex((measure) => measure.key === key);
    const found = summary(row, place, table.measures[place], table.chosen);
    one.cell.className = found.state || "";
    write(one.cell, shown(found) + (found.state ? table.marks[found.state] : ""), found.value);
  }
}

// In place of the first text of a cell; those below it that hold for any seeds, such as the paper's, stay.
function write(cell, text, value) {
  const span = document.createElement("span");
  span.textContent = text;
  cell.replaceChildren(span, ...[...cell.childNodes].slice(1));
  if (value === null) delete cell.dataset.value;
  else cell.dataset.value = value;
}

// Sorting, by the buttons of the headings: up, down, and the table's own order.
function prepareSorting(table) {
  table.own = [...table.tBodies[0].rows];
  all("thead th", table).forEach((heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    const definition = document.getElementById(`term-${heading.dataset.key}`);
    if (definition) explain(button, definition);
    button.addEventListener("click", () => {
      const order = { none: "ascending", ascending: "descending", descending: "none" };
      const next = order[heading.getAttribute("aria-sort")];
      all("thead th", table).forEach((other) => other.setAttribute("aria-sort", "none"));
      heading.setAttribute("aria-sort", next);
      resort(table);
    });
  });
}

function resort(table) {
  const sorted = table.querySelector('th[aria-sort$="scending"]');
  let rows = table.own;
  if (sorted) {
    const sign = sorted.getAttribute("aria-sort") === "ascending" ? 1 : -1;
    const column = sorted.cellIndex;
    const isNumber = rows.some((row) => row.cells[column].dataset.value !== undefined);
    const read = (row) => (isNumber ? parseFloat(row.cells[column].dataset.value) : row.cells[column].textContent);
    rows = [...rows].sort((first, second) => {
      const [a, b] = [read(first), read(second)];
      if (!isNumber) return sign * a.localeCompare(b);
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    });
  }
  table.tBodies[0].append(...rows);
}

// Definitions, while a heading is pointed at or has the focus; Escape takes them away.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true"); // the button is described by the definition itself
document.querySelector("main").append(tip);

let explained = null, leaving = 0;

function explain(button, definition) {
  button.setAttribute("aria-describedby", definition.id);
  const show = () => {
    clearTimeout(leaving);
    explained = button;
    tip.textContent = definition.textContent;
    tip.hidden = false;
    place();
  };
  button.addEventListener("mouseenter", show);
  button.addEventListener("focus", show);
  button.addEventListener("mouseleave", leave);
  button.addEventListener("blur", hide);
}

function place() {
  if (tip.hidden) return;
  const { left, bottom, top } = explained.getBoundingClientRect();
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const below = bottom + 4 + tip.offsetHeight <= window.innerHeight;
  tip.style.left = `${Math.max(8, Math.min(left, room))}px`;
  tip.style.top = `${below ? bottom + 4 : Math.max(8, top - tip.offsetHeight - 4)}px`;
}

function hide() {
  tip.hidden = true;
}

// Time for the pointer to reach the definition, which stays while it is there.
function leave() {
  leaving = setTimeout(hide, 200);
}

tip.addEventListener("mouseenter", () => clearTimeout(leaving));
tip.addEventListener("mouseleave", hide);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
window.addEventListener("scroll", place, { passive: true, capture: true });

// Curves: a step chosen by pointing at any of them, or by the slider, is read off in all.
function prepareCurves(panel, table) {
  const { charts } = table;
  const steps = [...new Set(charts.flatMap((chart) => chart.rows.flatMap((row) => row.steps)))].sort((a, b) => a - b);
  const label = panel.querySelector(".slider");
  const slider = label.querySelector("input");
  const rows = all(".readout tbody tr", panel);
  slider.max = steps.length - 1;
  slider.value = steps.length - 1;
  label.hidden = false;
  const pictures = all(".chart", panel);
  const whole = pictures.map((picture) => picture.querySelector(".inside").innerHTML);
  let curves = charts.map((chart) => chart.rows);
  const read = (cursor) => {
    const step = steps[slider.value];
    slider.setAttribute("aria-valuetext", `step ${step.toLocaleString("en")}`);
    label.querySelector("output").textContent = step.toLocaleString("en");
    panel.querySelector(".readout caption span").textContent =
      `At step ${step.toLocaleString("en")}: mean [lowest, highest]`;
    charts.forEach((chart, column) => {
      rows.forEach((row) => { row.cells[column + 1].textContent = "-"; });
      curves[column].forEach((curve) => {
        rows[curve.row].cells[column + 1].textContent = at(curve, step, chart.digits);
      });
      const [left, right] = chart.box, [first, last] = chart.range;
      const line = pictures[column].querySelector(".cursor");
      const x = left + ((Math.min(last, Math.max(first, step)) - first) / (last - first || 1)) * (right - left);
      line.setAttribute("x1", x);
      line.setAttribute("x2", x);
      line.setAttribute("visibility", cursor ? "visible" : "hidden");
    });
  };
  slider.addEventListener("input", () => read(true));
  pictures.forEach((picture, column) => {
    const { box, range } = charts[column];
    const point = (event) => {
      const bounds = picture.getBoundingClientRect();
      const x = ((event.clientX - bounds.left) / bounds.width) * box[2];
      const wanted = range[0] + ((x - box[0]) / (box[1] - box[0])) * (range[1] - range[0]);
      slider.value = steps.reduce((best, step, place) =>
        (Math.abs(step - wanted) < Math.abs(steps[best] - wanted) ? place : best), 0);
      read(true);
    };
    picture.addEventListener("pointermove", point);
    picture.addEventListener("pointerdown", point);
  });
  table.redraw = () => {
    curves = charts.map((chart) => chart.rows.map((curve) => overSeeds(curve, table.chosen)));
    pictures.forEach((picture, column) => {
      const inside = picture.querySelector(".inside");
      inside.innerHTML = whole[column];
      curves[column].forEach((curve, place) => {
        if (curve !== charts[column].rows[place]) redraw(inside, charts[column], curve);
      });
    });
    read(false);
  };
  read(false);
}

// A curve of the chosen seeds; the curve itself where all of its seeds are chosen, or nobody knows them.
function overSeeds(curve, chosen) {
  if (!curve.seeds || curve.seeds.every((seed) => chosen.includes(seed))) return curve;
  const places = [...curve.seeds.keys()].filter((place) => chosen.includes(curve.seeds[place]));
  const columns = curve.steps.map((_, step) => places.map((place) => curve.values[place][step]));
  const over = (fold) => columns.map((values) => (!values.length || values.includes(null) ? null : fold(values)));
  return {
    ...curve,
    mean: over((values) => sum(values) / values.length),
    low: over((values) => Math.min(...values)),
    high: over((values) => Math.max(...values)),
  };
}

// As the server draws it, on the scale of all seeds.
function redraw(inside, chart, curve) {
  const [left, right] = chart.box, [first, last] = chart.range, [top, bottom, low, high] = chart.scale;
  const across = (step) => left + ((step - first) / (last - first || 1)) * (right - left);
  const up = (value) => Math.min(1e4, Math.max(-1e4, bottom - ((value - low) / (high - low)) * (bottom - top)));
  const steps = [...curve.steps.keys()].filter((step) => curve.mean[step] !== null);
  const places = (values) => steps.map((step) => [across(curve.steps[step]), up(values[step])]);
  const points = (found) => found.map((place) => place.map((one) => one.toFixed(1)).join(",")).join(" ");
  const line = places(curve.mean);
  const band = [...places(curve.high), ...places(curve.low).reverse()];
  inside.querySelector(`polygon[data-row="${curve.row}"]`).setAttribute("points", points(band));
  inside.querySelector(`g[data-row="${curve.row}"] polyline`).setAttribute("points", points(line));
  const marked = line.filter((_, place) => place % Math.max(1, Math.floor(line.length / chart.marks)) === 0);
  all(`g[data-row="${curve.row}"] path`, inside).forEach((mark, place) => {
    if (place >= marked.length) mark.remove();
    else mark.setAttribute("transform", `translate(${marked[place].map((one) => one.toFixed(1)).join(" ")})`);
  });
}

function at(curve, step, digits) {
  const place = curve.steps.findLastIndex((one) => one <= step);
  if (place < 0 || curve.mean[place] === null) return "-";
  const [mean, low, high] = [curve.mean, curve.low, curve.high].map((values) => fixed(values[place], digits));
  return curve.low[place] === curve.high[place] ? mean : `${mean} [${low}, ${high}]`;
}

// LaTeX and CSV, of the chosen seeds.
function latexOf(table, text) {
  if (table.chosen.length === table.seeds.length) return text;
  const lines = text.split("\n");
  const first = lines.indexOf("\\midrule") + 1;
  const keys = all("thead th", table.brief).map((heading) => heading.dataset.key).slice(2);
  const sign = (number) => number.replace(/^-/, "$-$$");
  table.rows.forEach((row, number) => {
    const cells = lines[first + number].replace(/ \\\\$/, "").split(" & ");
    const found = keys.map((key) => {
      const place = table.measures.findIndex((measure) => measure.key === key);
      const one = summary(row, place, table.measures[place], table.chosen);
      const below = one.deviation === null ? "" : `_{${one.deviation.replace(/^0/, "")}}`;
      const above = { collapsed: "^\\dagger", partly: "^\\ddagger" }[one.state] || "";
      return sign(one.mean) + (below || above ? `$${below}${above}$` : "");
    });
    lines[first + number] = `${[cells[0], ...found].join(" & ")} \\\\`;
  });
  return lines.join("\n")
    .replace(/ \d+( of \d+)? seeds each.*?\./, ` Of seeds ${table.chosen.join(", ")} alone.`)
    .replace(/ Bold: .*? leaves no row out\./, "");
}

function csvOf(table) {
  const quoted = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const keys = table.measures.map((measure) => measure.key);
  const lines = [["experiment", "data", "split", "samples", "row", "seed", "state", ...keys, "seconds"]];
  for (const row of table.rows) {
    const seeds = [...Object.keys(row.runs), ...Object.keys(row.missing)].sort((a, b) => a - b);
    for (const seed of seeds) {
      const run = row.runs[seed];
      if (run && !table.chosen.includes(seed)) continue;
      const place = [...table.place, row.label, seed];
      lines.push(run ? [...place, "finished", ...run.values, run.seconds] : [...place, row.missing[seed]]);
    }
  }
  const width = lines[0].length;
  return lines.map((line) => Array.from({ length: width }, (_, k) => quoted(line[k])).join(",")).join("\n") + "\n";
}

async function copy(text, status) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not every browser lends the clipboard to a file.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) {
      status.textContent = "This browser does not lend its clipboard: copy from \u201cLaTeX of the table\u201d below.";
      return;
    }
  }
  status.textContent = "LaTeX copied.";
}

function download(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

all(".tools").forEach((tools) => {
  const table = tables[tools.dataset.table];
  const section = tools.closest("section");
  const pre = section.querySelector(".latex");
  const whole = pre.textContent;
  table.brief = section.querySelector("table");
  prepareSeeds(tools, table);
  tools.addEventListener("change", () => { pre.textContent = latexOf(table, whole); });
  tools.querySelector(".all").addEventListener("click", () => { pre.textContent = whole; });
  tools.querySelector(".copy").addEventListener("click", () => copy(pre.textContent, tools.querySelector(".status")));
  tools.querySelector(".download").addEventListener("click", () => {
    download(csvOf(table), `runs-${table.place.slice(0, 2).join("-").replace(/[^\w.-]+/g, "_")}.csv`);
  });
  tools.hidden = false;
});
all("table.numbers").forEach(prepareSorting);
all(".charts").forEach((panel) => prepareCurves(panel, tables[panel.dataset.table]));
all(".choice").forEach((choice) => {
  const figures = all("figure", choice.nextElementSibling);
  choice.hidden = figures.length < 2;
  choice.addEventListener("change", (event) => { figures[event.target.value].hidden = !event.target.checked; });
});

// What goes on beyond its frame says so.
const watch = new ResizeObserver((entries) => {
  entries.forEach(({ target }) => target.classList.toggle("more", target.scrollWidth > target.clientWidth + 1));
});
all(".scroll").forEach((element) => watch.observe(element));

// Paper has no summary to open.
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = all("details:not([open])");
  closed.forEach((one) => { one.open = true; });
});
window.addEventListener("afterprint", () => closed.forEach((one) => { one.open = false; }));
