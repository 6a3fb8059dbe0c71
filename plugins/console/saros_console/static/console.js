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

function renew(html) {
  const open = new Set([...live.querySelectorAll("details[open]")].map((each) => each.dataset.key));
  const focused = live.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  if (String(getSelection()) && live.contains(getSelection().anchorNode)) return; // somebody copies something
  live.innerHTML = html; // made, and escaped, by the server
  for (const each of live.querySelectorAll("details")) each.open = open.has(each.dataset.key);
  if (focused) [...live.querySelectorAll("a")].find((each) => each.getAttribute("href") === focused)?.focus();
  times();
}

function listen() {
  if (!live || source || document.hidden) return;
  source = new EventSource(live.dataset.live);
  source.onopen = () => live.classList.remove("stale");
  source.onmessage = (event) => { live.classList.remove("stale"); renew(event.data); };
  source.addEventListener("problem", () => live.classList.add("stale"));
  source.onerror = () => live.classList.add("stale");
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) { source?.close(); source = null; } else listen();
});
addEventListener("pagehide", () => { source?.close(); source = null; });

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

tools();
times();
setInterval(times, 1000);
listen();
