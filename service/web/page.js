// Sends a file, waits for its job, and shows the figures and a link to the result. Nothing is loaded from elsewhere.
"use strict";

const form = document.getElementById("form");
const file = document.getElementById("file");
const snr = document.getElementById("snr");
const outcome = document.getElementById("outcome");
const button = form.querySelector("button");

for (const place of document.querySelectorAll(".origin")) {
  place.textContent = new URL(".", location.href).href.replace(/\/$/, "");
}

function show(...nodes) {
  outcome.className = "";
  outcome.replaceChildren(...nodes);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

async function answer(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(body.detail || response.statusText);
  return body;
}

async function send(model) {
  const compressed = model.name.endsWith(".cabac");
  const query = compressed ? "" : `?snr_db=${encodeURIComponent(snr.value)}`;
  const form = new FormData();
  form.append("model", model);
  show(element("p", `Sending ${model.name} (${bytes(model.size)}) …`));
  let job = await answer(await fetch((compressed ? "decompress" : "compress") + query, { method: "POST", body: form }));
  while (job.state === "queued" || job.state === "running") {
    show(element("p", `The job is ${job.state}: ${Math.round(100 * job.progress)} %`));
    job = await answer(await fetch(`jobs/${job.id}`, { headers: { Prefer: "wait=2" } }));
  }
  if (job.state !== "done") throw new Error(job.error ? job.error.detail : `The job is ${job.state}.`);
  finished(job);
}

function finished(job) {
  const link = element("a", `Download ${job.result.name} (${bytes(job.result.bytes)})`);
  link.href = `jobs/${job.id}/result`;
  const table = document.createElement("table");
  const figures = [
    ["Before", job.summary.original_bytes, bytes],
    ["After", job.summary.bytes, bytes],
    ["Times smaller", job.summary.ratio, (value) => value.toFixed(2)],
    ["Bits per weight", job.summary.bits_per_weight, (value) => value.toFixed(3)],
    ["Signal-to-noise ratio", job.summary.snr_db, (value) => `${value.toFixed(2)} dB`],
  ];
  for (const [name, value, format] of figures) {
    if (typeof value !== "number") continue;
    const row = table.insertRow();
    row.append(element("th", name), element("td", format(value)));
    row.firstChild.scope = "row";
  }
  const paragraph = document.createElement("p");
  paragraph.append(link);
  if (job.report) {
    const report = element("a", "the report, tensor by tensor");
    report.href = `jobs/${job.id}/report`;
    paragraph.append(" · ", report);
  }
  show(table, paragraph);
}

function bytes(count) {
  if (count < 1e3) return `${count} bytes`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(2)} MB`;
}

async function run(model) {
  button.disabled = true;
  try {
    await send(model);
  } catch (error) {
    show(element("p", `It did not work: ${error.message}`));
    outcome.className = "failed";
  } finally {
    button.disabled = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (file.files.length) run(file.files[0]);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (event.dataTransfer.files.length && !button.disabled) run(event.dataTransfer.files[0]);
});
