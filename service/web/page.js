// The page: sends a file, follows its job, shows what came of it, and lists the latest jobs. Nothing is loaded from
// elsewhere.
"use strict";

import { drawn, trace } from "./curve.js";
import { button, bytes, decibels, element, figure, moment, whole } from "./format.js";
import { layers } from "./layers.js";
import { Refused, Stopped, ask, askJson, download, follow, needsKey, upload, useKey } from "./service.js";

const REFRESH = 2000;
const HINTS = {
  snr_db: "Higher is closer to the original and larger. At 30 dB 99.9 % of the weights' energy is kept.",
  bits_per_weight: "The size of the whole file, 32 bits being that of float32.",
  ratio: "10: a tenth of the original's size.",
  max_bytes: "The file is at most this long.",
  s: "One S for all layers sets their steps by eq. 2 of the paper. Larger S is closer to the original and larger.",
  "": "Chosen so that the network's results stay the same for all practical purposes.",
};
const DEFAULTS = { snr_db: 30, bits_per_weight: 2.5, ratio: 10, max_bytes: 1000000, s: 64, "": "" };
const DAMAGED = ["corrupt", "truncated"];
const by = (id) => document.getElementById(id);

let shown = null; // the job that is shown
let source = null; // the files that it was made from, if they were sent from here: {model, sigma}
let busy = false;

for (const place of document.querySelectorAll(".origin")) {
  place.textContent = new URL(".", location.href).href.replace(/\/$/, "");
}

// -- sending ----------------------------------------------------------------------------------------------------------

function isCompressed(file) {
  return file.name.toLowerCase().endsWith(".cabac");
}

function adapt() {
  const file = by("file").files[0];
  const back = Boolean(file && isCompressed(file));
  by("targets").hidden = back;
  by("send").textContent = back ? "Decompress" : "Compress";
  const target = by("target").value;
  by("hint").textContent = back ? "The model comes back as safetensors." : HINTS[target];
  by("value").disabled = target === "";
  by("value").required = target !== "" && !back;
  by("value").min = target === "s" ? "" : "0";
  by("sigma").required = target === "s" && !back;
  by("sigma-part").hidden = back;
  if (target === "s") by("sigma-part").open = true;
}

by("target").addEventListener("change", () => {
  by("value").value = DEFAULTS[by("target").value];
  adapt();
});
by("file").addEventListener("change", adapt);
adapt();

function say(text, failed = false) {
  by("status").textContent = text;
  by("status").className = failed ? "failed" : "";
}

function explain(error) {
  const problem = error instanceof Refused ? error.problem : {};
  const place = problem.tensor ? ` (tensor ${problem.tensor})` : "";
  const remedy = DAMAGED.includes(problem.code) ? ". Fetch the file again: it was changed or cut short on its way" : "";
  return `${problem.title || "It did not work"}: ${error.message.replace(/\.$/, "")}${place}${remedy}.`;
}

async function run(file) {
  if (busy) return;
  busy = true;
  by("send").disabled = true;
  const back = isCompressed(file);
  const query = new URLSearchParams();
  if (!back) {
    query.set("histogram", "true");
    if (by("target").value) query.set(by("target").value, by("value").value);
  }
  by("current").hidden = false;
  by("current-title").textContent = file.name;
  by("result").hidden = true;
  by("working").hidden = false;
  const sending = new AbortController();
  by("cancel").disabled = false;
  by("cancel").onclick = () => sending.abort();
  by("progress").removeAttribute("value");
  say(`Sending ${bytes(file.size)} …`);
  by("current").scrollIntoView({ block: "nearest" });
  try {
    const sigma = by("sigma").files[0];
    const files = sigma && !back ? { model: file, sigma } : { model: file };
    const sent = by("target").value === "s" ? files : { model: file };
    const tell = (share) => {
      by("progress").value = share;
      say(`Sending ${bytes(file.size)}: ${Math.round(100 * share)} %`);
    };
    const job = await upload(`${back ? "decompress" : "compress"}?${query}`, sent, tell, sending.signal);
    source = back ? null : files;
    await watch(job);
  } catch (error) {
    by("working").hidden = true;
    if (error instanceof Stopped) say("Cancelled: nothing was kept of the file.");
    else say(explain(error), true);
    if (error instanceof Refused && error.status === 401) askForKey(error.message);
  } finally {
    busy = false;
    by("send").disabled = false;
  }
}

by("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (by("file").files.length) run(by("file").files[0]);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (!event.dataTransfer.files.length) return;
  by("file").files = event.dataTransfer.files;
  adapt();
  run(event.dataTransfer.files[0]);
});

// -- one job ----------------------------------------------------------------------------------------------------------

async function watch(job) {
  shown = job;
  by("working").hidden = false;
  by("cancel").disabled = false;
  by("cancel").onclick = async () => {
    by("cancel").disabled = true;
    try {
      await ask(`jobs/${job.id}`, { method: "DELETE" });
    } catch (error) {
      say(explain(error), true);
    }
  };
  list();
  const ended = await follow(job.id, (current) => {
    const { tensors, bytes: size } = current;
    const counts = tensors
      ? `, ${whole(tensors.done)} of ${whole(tensors.total)} tensors, ${bytes(size.done)} of ${bytes(size.total)}`
      : "";
    if (current.state === "running") {
      if (current.progress) by("progress").value = current.progress;
      else by("progress").removeAttribute("value");
      say(`Working: ${Math.round(100 * current.progress)} %${counts}`);
    } else if (current.state === "queued") {
      by("progress").removeAttribute("value");
      say("Waiting for its turn …");
    }
  });
  by("working").hidden = true;
  list();
  if (shown.id !== job.id) return;
  if (ended.state === "done") await show(ended);
  else if (ended.state === "cancelled") say("Cancelled.");
  else say(explain(new Refused(ended.error.status, ended.error)), true);
}

async function show(job) {
  shown = job;
  by("current").hidden = false;
  by("working").hidden = true;
  const name = job.input.model ? job.input.model.name : job.id;
  by("current-title").textContent = job.result.name;
  const { original_bytes: before, bytes: after, ratio, bits_per_weight: rate, snr_db: snr } = job.summary;
  const compressed = job.kind === "compress";
  say(compressed ? `Done: ${name} is ${figure(ratio, 1)} times smaller.` : `Done: ${job.result.name} is ready.`);
  const figures = compressed
    ? [
        ["Before", bytes(before)],
        ["After", bytes(after)],
        ["Times smaller", figure(ratio, 2)],
        ["Bits per weight", figure(rate, 3)],
        ["Signal-to-noise ratio", decibels(snr)],
      ]
    : [["Size", bytes(job.result.bytes)]];
  by("figures").replaceChildren(
    ...figures.map(([label, value]) => {
      const pair = element("div");
      pair.append(element("dt", label), element("dd", value));
      return pair;
    }),
  );
  const save = button(`Download ${job.result.name}, ${bytes(job.result.bytes)}`, `Download ${job.result.name}`, () =>
    take(`jobs/${job.id}/result`, job.result.name),
  );
  save.className = "main";
  const parts = [save];
  if (job.report && job.report.sha256 !== job.result.sha256) {
    parts.push(button("Report (JSON)", "Download the report", () => take(`jobs/${job.id}/report`, job.report.name)));
  }
  by("downloads").replaceChildren(...parts);
  by("histogram").replaceChildren();
  by("curve").replaceChildren();
  by("layers-part").hidden = !compressed;
  by("curve-part").hidden = !(compressed && source && source.model.name.startsWith(name.replace(/\.[^.]*$/, "")));
  by("curve-hint").textContent =
    source && source.sigma
      ? "Sweeps over S with the standard deviations that you gave: size and signal-to-noise ratio for each S."
      : "Compresses the model at seven qualities, one after another, when nobody else waits.";
  by("result").hidden = false;
  by("current-title").focus({ preventScroll: true });
  by("current").scrollIntoView({ block: "start", behavior: "smooth" });
  if (compressed) layers(by("layers"), by("histogram"), await askJson(`jobs/${job.id}/report`));
}

async function take(path, name) {
  try {
    await download(path, name);
  } catch (error) {
    say(explain(error), true);
  }
}

// -- the curve --------------------------------------------------------------------------------------------------------

by("draw").addEventListener("click", async () => {
  const job = shown;
  const own = { rate: job.summary.bits_per_weight, snr: job.summary.snr_db };
  by("draw").disabled = true;
  try {
    await trace(
      source,
      (text) => (by("draw").textContent = `Drawing: ${text} …`),
      (points) => {
        if (shown.id !== job.id) return false;
        by("curve").replaceChildren(...drawn(points, typeof own.snr === "number" ? own : null, choose));
        return true;
      },
    );
  } catch (error) {
    by("curve").replaceChildren(element("p", explain(error), { class: "failed" }));
  } finally {
    by("draw").textContent = "Draw the curve";
    by("draw").disabled = false;
  }
});

function choose(point) {
  by("target").value = "s";
  by("value").value = point.s;
  adapt();
  run(source.model);
}

// -- the list ---------------------------------------------------------------------------------------------------------

let timer = 0;

async function list() {
  clearTimeout(timer);
  try {
    const { jobs } = await askJson("jobs?limit=20");
    by("keys").hidden = true;
    by("no-jobs").firstChild.textContent = "None yet.";
    by("no-jobs").hidden = jobs.length > 0;
    by("jobs").hidden = jobs.length === 0;
    by("jobs").tBodies[0].replaceChildren(...jobs.map(line));
    const active = jobs.some((job) => !job.finished);
    if (active && !document.hidden) timer = setTimeout(list, REFRESH);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) askForKey(needsKey() ? error.message : "");
    else timer = setTimeout(list, 5 * REFRESH);
  }
}

function line(job) {
  const row = element("tr");
  const name = job.input.model ? job.input.model.name : job.id.slice(0, 8);
  const state = job.state === "running" ? `running, ${Math.round(100 * job.progress)} %` : job.state;
  const before = job.input.model ? bytes(job.input.model.bytes) : "";
  const size = job.state === "done" && job.result ? `${before} → ${bytes(job.result.bytes)}` : before;
  const cell = element("td", state);
  if (job.error) {
    cell.append(element("br"), element("small", job.error.detail));
    cell.className = "failed-cell";
  }
  const actions = element("td", undefined, { class: "actions" });
  if (job.state === "done") {
    actions.append(
      button("Show", `Show the result of ${name}`, async () => {
        if (shown === null || shown.id !== job.id) source = null;
        try {
          await show(job);
        } catch (error) {
          say(explain(error), true);
        }
      }),
    );
  }
  const over = Boolean(job.finished);
  actions.append(
    button(over ? "Delete" : "Cancel", `${over ? "Delete" : "Cancel"} ${job.kind} of ${name}`, async () => {
      try {
        await ask(`jobs/${job.id}`, { method: "DELETE" });
      } finally {
        list();
      }
    }),
  );
  const head = element("th", name, { scope: "row" });
  row.append(head, element("td", job.kind), cell, element("td", size), element("td", moment(job.created)), actions);
  return row;
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) list();
});

function askForKey(problem) {
  by("keys").hidden = false;
  by("key-problem").textContent = problem;
  by("jobs").hidden = true;
  by("no-jobs").hidden = false;
  by("no-jobs").firstChild.textContent = "Your jobs are shown once you have given your key.";
  by("key").focus();
}

by("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(by("key").value.trim());
  by("key").value = "";
  list();
});

list();
