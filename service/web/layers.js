// The table of layers, to sort by its heads, and the histogram of the layer that is chosen.
"use strict";

import { histogram } from "./charts.js";
import { button, bytes, element, figure, whole } from "./format.js";

const COLUMNS = [
  ["Layer", (row) => row.name, (row) => row.name],
  ["Type", (row) => row.dtype, (row) => row.dtype],
  ["Shape", (row) => row.shape.join(" × ") || "scalar", (row) => row.parameters],
  ["Weights", (row) => whole(row.parameters), (row) => row.parameters],
  ["Size", (row) => bytes(row.bytes), (row) => row.bytes],
  ["Bits per weight", (row) => figure(row.bits_per_weight, 3), (row) => row.bits_per_weight],
  ["SNR in dB", (row) => (typeof row.snr_db === "number" ? row.snr_db.toFixed(2) : "∞"), (row) => row.snr_db ?? Infinity],
  ["Not zero", (row) => percent(row.nonzero, row.parameters), (row) => row.nonzero / (row.parameters || 1)],
];

function percent(part, all) {
  return all ? `${((100 * part) / all).toFixed(1)} %` : "–";
}

// Fills the table with a row a layer, and the figure with the levels of all, or of the layer that is chosen.
export function layers(table, figurePlace, report) {
  const rows = report.tensors;
  let order = { column: 0, down: false, natural: true };
  const head = table.tHead.rows[0];
  const body = table.tBodies[0];

  function draw() {
    const sorted = [...rows];
    if (!order.natural) {
      const value = COLUMNS[order.column][2];
      sorted.sort((one, other) => {
        const [a, b] = [value(one), value(other)];
        const before = typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a === b ? 0 : a < b ? -1 : 1;
        return order.down ? -before : before;
      });
    }
    body.replaceChildren(
      ...sorted.map((row) => {
        const line = element("tr");
        const first = element("th", undefined, { scope: "row" });
        if (row.levels) {
          first.append(
            button(row.name, `Histogram of ${row.name}`, () => {
              picture(figurePlace, histogram(row.levels, row.name), `Levels of ${row.name}, step ${figure(row.step, 6)}. `);
              figurePlace.scrollIntoView({ block: "nearest", behavior: "smooth" });
            }),
          );
        } else {
          first.textContent = row.name;
        }
        line.append(first, ...COLUMNS.slice(1).map(([, text]) => element("td", text(row))));
        return line;
      }),
    );
  }

  head.replaceChildren(
    ...COLUMNS.map(([name], column) => {
      const cell = element("th", undefined, { scope: "col", "aria-sort": "none" });
      cell.append(
        button(name, `Sort by ${name}`, () => {
          order = { column, down: order.column === column && !order.natural ? !order.down : false, natural: false };
          for (const other of head.cells) other.setAttribute("aria-sort", "none");
          cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
          draw();
        }),
      );
      return cell;
    }),
  );
  draw();
  const lossy = rows.filter((row) => row.levels);
  if (lossy.length) {
    const sums = lossy[0].levels.map((_, place) => lossy.reduce((sum, row) => sum + row.levels[place], 0));
    picture(figurePlace, histogram(sums, "All lossy layers together"), "");
  }
}

function picture(place, { svg, text }, prefix) {
  place.replaceChildren(svg, element("figcaption", prefix + text));
}
