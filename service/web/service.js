// The service over HTTP: with the key, if there is one; jobs, their events, uploads with progress, downloads.
"use strict";

const PLACE = "cabacus-key";
let key = sessionStorage.getItem(PLACE) || "";

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

export class Stopped extends Error {}

export function useKey(text) {
  key = text;
  sessionStorage.setItem(PLACE, text);
}

export function needsKey() {
  return key !== "";
}

function headers(more = {}) {
  return key ? { Authorization: `Bearer ${key}`, ...more } : more;
}

async function refusal(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy's answer may be no JSON.
  }
  return new Refused(response.status, problem);
}

export async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: headers(options.headers) });
  } catch {
    throw new Error("The service does not answer. Is it running?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function askJson(path, options) {
  const response = await ask(path, options);
  return response.status === 204 ? null : response.json();
}

// `files` by part name. fetch does not tell how much of a body has been sent. Throws Stopped once `signal` is aborted.
export function upload(path, files, tell, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    for (const [role, file] of Object.entries(files)) form.append(role, file);
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => tell(event.loaded / event.total);
    request.onerror = () => reject(new Error("The connection broke while the file was being sent. Try again."));
    request.onabort = () => reject(new Stopped());
    if (signal) signal.addEventListener("abort", () => request.abort());
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(new Refused(request.status, request.response || {}));
    };
    request.send(form);
  });
}

// EventSource cannot send a key.
export async function follow(id, tell) {
  let latest = null;
  let seen = "";
  for (let attempt = 0; attempt < 10 && !(latest && latest.finished); attempt += 1) {
    try {
      const response = await ask(`jobs/${id}/events`, { headers: seen ? { "Last-Event-ID": seen } : {} });
      if (response.status === 204) break;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        const blocks = text.split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          for (const line of block.split("\n")) {
            if (line.startsWith("id: ")) seen = line.slice(4);
            if (line.startsWith("data: ")) latest = JSON.parse(line.slice(6));
          }
          if (block.includes("data: ")) {
            attempt = 0;
            tell(latest);
          }
        }
      }
    } catch (error) {
      if (error instanceof Refused && error.status < 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  return latest && latest.finished ? latest : askJson(`jobs/${id}`, { headers: { Prefer: "wait=30" } });
}

// A link cannot send a key either.
export async function download(path, name) {
  const link = document.createElement("a");
  link.download = name;
  if (!key) {
    link.href = path;
    link.click();
    return;
  }
  link.href = URL.createObjectURL(await (await ask(path)).blob());
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
