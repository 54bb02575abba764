// Numbers for people, and elements with text.
"use strict";

export function bytes(count) {
  if (count < 1e3) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  return count < 1e9 ? `${(count / 1e6).toFixed(2)} MB` : `${(count / 1e9).toFixed(2)} GB`;
}

export function figure(value, digits) {
  return typeof value === "number" ? value.toFixed(digits) : "–";
}

export function decibels(value) {
  return typeof value === "number" ? `${value.toFixed(2)} dB` : "∞ (exact)";
}

export function whole(value) {
  return value.toLocaleString("en");
}

export function moment(text) {
  return new Date(text).toLocaleTimeString();
}

export function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function button(text, label, action) {
  const made = element("button", text, { type: "button", "aria-label": label });
  made.addEventListener("click", action);
  return made;
}
