// Live updates, times, theme and shortcuts. The pages can be read without it.
const live = document.getElementById("live");
const store = {
  get: (name) => { try { return localStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(name, value); } catch { /* private mode */ } },
};

// --- times -------------------------------------------------------------------
let local = store.get("saros_zone") !== "utc";
const pad = (number) => String(number).padStart(2, "0");

function span(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  if (left < 60) return `${left} s`;
  if (left < 3600) return `${Math.floor(left / 60)} min`;
  if (left < 86400) return `${Math.floor(left / 3600)} h ${Math.floor((left % 3600) / 60)} min`;
  return `${Math.floor(left / 86400)} d`;
}

function stamp(date) {
  if (!local) return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ` +
    `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

function times() {
  for (const element of document.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    const seconds = (Date.now() - date) / 1000;
    element.title = date.toISOString();
    const ahead = "until" in element.dataset;
    const text = ahead ? (seconds < 0 ? `in ${span(-seconds)}` : "now") : `${stamp(date)} · ${span(seconds)} ago`;
    if (element.textContent !== text) element.textContent = text;
  }
}

function zone() {
  local = !local;
  store.set("saros_zone", local ? "local" : "utc");
  tools();
  times();
}

// --- theme -------------------------------------------------------------------
const root = document.documentElement;
const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

function theme() {
  root.dataset.theme = dark() ? "light" : "dark";
  document.cookie = `saros_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=strict`;
  tools();
}

function tools() {
  for (const [name, text, act] of [["zone", local ? "local" : "UTC", zone], ["themeToggle", dark() ? "light" : "dark", theme], ["help", "?", help]]) {
    const button = [...document.querySelectorAll(".tools button")].find((each) => name in each.dataset);
    if (!button) continue;
    button.hidden = false;
    button.textContent = text;
    button.onclick = act;
  }
}

function help() {
  const dialog = document.getElementById("help");
  if (dialog.open) dialog.close(); else dialog.showModal();
}

// --- live --------------------------------------------------------------------
let source = null;

const mark = (each) => each.getAttribute("href") || each.dataset.key || each.closest("[data-key]")?.dataset.key || each.className;

function renew(html) {
  const open = new Set([...live.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  const focused = live.contains(document.activeElement) ? mark(document.activeElement) : null;
  if (String(getSelection()) && live.contains(getSelection().anchorNode)) return; // somebody copies something
  live.innerHTML = html; // made, and escaped, by the server
  for (const each of live.querySelectorAll("details")) each.open = open.has(each.dataset.key);
  if (focused) [...live.querySelectorAll("a, button, summary, [tabindex]")].find((each) => mark(each) === focused)?.focus({ preventScroll: true });
  zoom();
  times();
}

// --- timeline ----------------------------------------------------------------
let wide = 1;

function zoom() {
  const chart = document.querySelector("svg.chart");
  if (!chart) return;
  document.querySelector(".zoom").hidden = false;
  const left = Number(chart.dataset.left), width = Number(chart.dataset.width);
  const at = (x) => x <= left ? x : left + (x - left) * wide;
  for (const element of chart.querySelectorAll("rect, circle, line, text.tick")) {
    for (const name of ["x", "x1", "x2", "cx", "width"]) {
      const base = element.dataset[name] ?? element.getAttribute(name);
      if (base === null) continue;
      element.dataset[name] = base;
      element.setAttribute(name, name === "width" ? base * wide : at(Number(base)));
    }
  }
  chart.setAttribute("viewBox", `0 0 ${at(width)} ${chart.dataset.height}`);
  chart.style.width = `${at(width) / width * 100}%`;
}

addEventListener("click", (event) => {
  const button = event.target.closest("[data-zoom]");
  if (!button) return;
  wide = Math.min(32, Math.max(1, wide * Number(button.dataset.zoom)));
  zoom();
});

const SILENT_MS = 30_000; // the server says something every few seconds
let heard = Date.now();

function trouble(text) {
  heard = Date.now();
  const box = document.getElementById("trouble");
  live.classList.toggle("stale", Boolean(text));
  if (box.textContent !== text) box.textContent = text;
  box.hidden = !text;
}

function listen() {
  if (!live || source || document.hidden) return;
  const own = source = new EventSource(live.dataset.live);
  heard = Date.now();
  own.onmessage = (event) => { trouble(""); renew(event.data); };
  own.addEventListener("beat", () => { heard = Date.now(); });
  own.addEventListener("problem", (event) => trouble(`Not up to date: ${event.data}`));
  own.onerror = () => {
    trouble("Not up to date: the console does not answer.");
    if (own.readyState === EventSource.CLOSED) again(2000); // otherwise the browser connects again by itself
  };
}

function silence() {
  source?.close();
  source = null;
}

function again(ms) {
  silence();
  setTimeout(listen, ms);
}

document.addEventListener("visibilitychange", () => { if (document.hidden) silence(); else listen(); });
addEventListener("pagehide", silence);
addEventListener("pageshow", listen);
setInterval(() => {
  if (!source || Date.now() - heard < SILENT_MS) return;
  trouble("Not up to date: the console does not answer.");
  again(0);
}, 1000);

// --- keyboard ----------------------------------------------------------------
function move(by) {
  const links = [...document.querySelectorAll("table.rows tbody tr td a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))].focus();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const acts = {
    "/": () => document.getElementById("q")?.focus(),
    j: () => move(1),
    k: () => move(-1),
    g: () => { location.href = "/"; },
    u: zone,
    t: theme,
    "?": help,
  };
  if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
});

// --- queries -----------------------------------------------------------------
const query = document.getElementById("q");
const fields = document.getElementById("fields");

// A list of whole queries: what is typed, with its last word completed.
function complete() {
  const names = complete.names ??= [...fields.options].map((each) => each.value);
  const [, before, word] = /^(.*?)([\w.]*)$/s.exec(query.value);
  const last = before.trimEnd();
  let next = names;
  if (/\bstatus\s*(=|!=)\s*'?$/.test(last)) next = ["running", "completed", "failed", "canceled", "terminated", "timed_out"].map((each) => last.endsWith("'") ? `${each}'` : `'${each}'`);
  else if (names.some((each) => last === each || last.endsWith(` ${each}`))) next = ["= ", "!= ", "in (", "starts with "];
  else if (/['")\d]$/.test(last)) next = ["and ", "or "];
  fields.replaceChildren(...next.filter((each) => each.startsWith(word)).map((each) => {
    const option = document.createElement("option");
    option.value = before + each;
    return option;
  }));
}
if (query && fields) query.addEventListener("input", complete);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tools);
tools();
zoom();
times();
setInterval(times, 1000);
listen();
