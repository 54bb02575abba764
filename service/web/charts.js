// Two charts as SVG: a histogram of levels, and the curve of rate and distortion. Each has its figures as a text, too.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 640;
const HEIGHT = 260;
const EDGE = { left: 56, right: 12, top: 12, bottom: 40 };

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function chart(label) {
  return shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
}

function words(x, y, text, anchor = "middle") {
  return shape("text", { x, y, "text-anchor": anchor }, text);
}

// `counts` of levels: -shown - 1 and below, -shown .. shown, shown + 1 and above. Heights are logarithmic.
export function histogram(counts, name) {
  const shown = (counts.length - 3) / 2;
  const total = counts.reduce((sum, count) => sum + count, 0);
  const zero = counts[shown + 1];
  const share = (count) => (total ? (100 * count) / total : 0).toFixed(1);
  const text = `${name}: ${share(zero)} % of the levels are 0, ${share(counts[shown] + counts[shown + 2])} % are 1 or -1.`;
  const svg = chart(`Histogram of levels. ${text}`);
  const top = Math.log10(Math.max(...counts, 1) + 1);
  const wide = (WIDTH - EDGE.left - EDGE.right) / counts.length;
  const high = HEIGHT - EDGE.top - EDGE.bottom;
  for (let power = 0; 10 ** power <= 10 ** top; power += 1) {
    const y = HEIGHT - EDGE.bottom - (Math.log10(10 ** power + 1) / top) * high;
    svg.append(shape("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y, y2: y }));
    svg.append(words(EDGE.left - 6, y + 4, (10 ** power).toLocaleString("en", { notation: "compact" }), "end"));
  }
  counts.forEach((count, place) => {
    const level = place - shown - 1;
    const tall = (Math.log10(count + 1) / top) * high;
    const bar = shape("rect", {
      class: level === 0 ? "bar zero" : "bar",
      x: EDGE.left + place * wide + 1,
      y: HEIGHT - EDGE.bottom - tall,
      width: wide - 2,
      height: tall,
    });
    const label = Math.abs(level) > shown ? `${level < 0 ? "≤ " : "≥ "}${level}` : `${level}`;
    bar.append(shape("title", {}, `level ${label}: ${count.toLocaleString("en")}`));
    svg.append(bar);
    if (level % 4 === 0) svg.append(words(EDGE.left + (place + 0.5) * wide, HEIGHT - EDGE.bottom + 16, label));
  });
  svg.append(words((EDGE.left + WIDTH) / 2, HEIGHT - 6, "level (weight / step); height: weights, logarithmic; outermost bars: all beyond"));
  return { svg, text };
}

// Round values within a span, about so many: multiples of 1, 2 or 5 times a power of ten.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= 0.7 * rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, place) => (first + place) * step);
}

function written(value) {
  return String(Number(value.toFixed(6)));
}

// `points` are {rate, snr, bytes}, in any order; `here` marks one of them.
export function curve(points, here) {
  const sorted = [...points].sort((one, other) => one.rate - other.rate);
  const text = sorted.map((it) => `${it.rate.toFixed(2)} bits per weight: ${it.snr.toFixed(1)} dB`).join("; ");
  const svg = chart(`Rate and distortion. ${text}`);
  const all = here ? [...sorted, here] : sorted;
  const span = (of) => {
    const low = Math.min(...all.map(of));
    const high = Math.max(...all.map(of));
    const room = (high - low || 1) * 0.05;
    return [low - room, high + room];
  };
  const [left, right] = span((it) => it.rate);
  const [low, high] = span((it) => it.snr);
  const x = (rate) => EDGE.left + ((rate - left) / (right - left)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (snr) => HEIGHT - EDGE.bottom - ((snr - low) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
  for (const rate of ticks(left, right, 6)) {
    svg.append(shape("line", { class: "grid", x1: x(rate), x2: x(rate), y1: EDGE.top, y2: HEIGHT - EDGE.bottom }));
    svg.append(words(x(rate), HEIGHT - EDGE.bottom + 16, written(rate)));
  }
  for (const snr of ticks(low, high, 5)) {
    svg.append(shape("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(snr), y2: y(snr) }));
    svg.append(words(EDGE.left - 6, y(snr) + 4, `${written(snr)} dB`, "end"));
  }
  svg.append(shape("polyline", { class: "curve", points: sorted.map((it) => `${x(it.rate)},${y(it.snr)}`).join(" ") }));
  for (const it of all) {
    const dot = shape("circle", { class: it === here ? "dot here" : "dot", cx: x(it.rate), cy: y(it.snr), r: 5 });
    dot.append(shape("title", {}, `${it.name ? `${it.name}: ` : ""}${it.rate.toFixed(3)} bits per weight, ${it.snr.toFixed(2)} dB`));
    svg.append(dot);
  }
  svg.append(words((EDGE.left + WIDTH) / 2, HEIGHT - 6, "bits per weight of the whole file"));
  return { svg, text };
}
