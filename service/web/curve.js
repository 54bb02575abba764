// Rate against distortion: a sweep over S where there are standard deviations, else one compression for each quality.
"use strict";

import { curve } from "./charts.js";
import { bytes, button, element, figure } from "./format.js";
import { ask, askJson, follow, upload } from "./service.js";

const QUALITIES = [15, 20, 25, 30, 35, 40, 45];
const VALUES_OF_S = "0:257:16";

async function ended(path, files, tell) {
  const begun = await upload(path, files, () => {});
  const job = await follow(begun.id, tell);
  if (job.state !== "done") throw new Error(job.error ? job.error.detail : `a job was ${job.state}`);
  return job;
}

async function forget(job) {
  await ask(`jobs/${job.id}`, { method: "DELETE" });
}

// Calls `tell` with words on how far it is, and `show` with the points so far: {rate, snr, bytes, name, s}.
export async function trace(files, tell, show) {
  if (files.sigma) {
    const query = new URLSearchParams({ s: VALUES_OF_S, priority: "bulk" });
    const job = await ended(`sweep?${query}`, files, (current) => tell(`${Math.round(100 * current.progress)} %`));
    const { points, best_s: best } = await askJson(`jobs/${job.id}/report`);
    await forget(job);
    show(
      points.map((it) => ({
        rate: it.bits_per_weight,
        snr: it.snr_db,
        bytes: it.bytes,
        name: `S = ${it.s}`,
        s: it.s,
        best: it.s === best,
      })),
    );
    return;
  }
  const points = [];
  for (const quality of QUALITIES) {
    tell(`${points.length} of ${QUALITIES.length}`);
    const query = new URLSearchParams({ snr_db: quality, priority: "bulk" });
    const job = await ended(`compress?${query}`, files, () => {});
    const { bits_per_weight: rate, snr_db: snr, bytes: size } = job.summary;
    points.push({ rate, snr: snr ?? quality, bytes: size, name: `${quality} dB` });
    await forget(job);
    if (!show(points)) return;
  }
}

// The chart and, for those who would rather read, the same as a table; `choose` takes a point.
export function drawn(points, here, choose) {
  const { svg } = curve(points.filter((it) => typeof it.snr === "number"), here);
  const table = element("table");
  const head = element("tr");
  head.append(...["Point", "Bits per weight", "SNR in dB", "Size", ""].map((it) => element("th", it, { scope: "col" })));
  table.append(element("thead"), element("tbody"));
  table.tHead.append(head);
  for (const it of points) {
    const row = element("tr");
    const action = element("td");
    if (it.s !== undefined) action.append(button("Compress with this S", `Compress with ${it.name}`, () => choose(it)));
    const name = it.best ? `${it.name}, smallest` : it.name;
    row.append(element("th", name, { scope: "row" }), element("td", figure(it.rate, 3)), element("td", figure(it.snr, 2)));
    row.append(element("td", bytes(it.bytes)), action);
    table.tBodies[0].append(row);
  }
  const details = element("details");
  details.append(element("summary", "The same as a table"), table);
  if (points.some((it) => it.s !== undefined)) details.open = true;
  const note = "Further up is closer to the original, further left is smaller.";
  return [svg, element("figcaption", here ? `${note} The green point is the file above.` : note), details];
}
