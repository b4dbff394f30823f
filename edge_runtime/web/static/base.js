// What every page does: texts, POST with its token, keys with a help overlay, live values, toasts with undo, the clock.

const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "{}");
const page = read("page");
const texts = read("texts");

/** The text of `key`, "events.found", with {words} filled in; of one/other by n. It is text, so use textContent. */
export function t(key, values = {}) {
  const [table, name] = key.split(".");
  let text = texts[table]?.[name];
  if (text === undefined) throw new Error(`no text ${key}`);
  if (typeof text === "object") text = values.n === 1 ? text.one : text.other;
  return text.replace(/\{(\w+)\}/g, (whole, word) => (word in values ? String(values[word]) : whole));
}

/** The words of a label, which may be broken behind each underscore. */
export function breakable(label) {
  const parts = label.split(/(?<=_)/).flatMap((part) => [document.createElement("wbr"), part]);
  const words = document.createElement("span");
  words.append(...parts.slice(1));
  return words;
}

/** GET `path`: the answer's JSON. Throws an Error with a sentence. */
export const get = (path) => ask(path, {});

/** POST `body` (an object, as JSON) to `path` with the session's token; otherwise as `get`. */
export const post = (path, body = {}) => ask(path, { "Content-Type": "application/json", "X-CSRF-Token": page.csrf }, "POST", JSON.stringify(body));

async function ask(path, headers, method = "GET", body = undefined) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { Accept: "application/json", ...headers }, body });
  } catch {
    throw new Error(t("common.no_answer"));
  }
  if (answer.status === 401) location.reload();
  const text = await answer.text();
  let value = {};
  try { value = text ? JSON.parse(text) : {}; } catch { value = { error: text }; }
  if (!answer.ok) throw new Error(value.error || answer.statusText);
  return value;
}

/** Show the state in the header, where the page has one. */
export function headState(state, words) {
  const pill = document.querySelector("#head-state .pill");
  if (pill) { pill.dataset.state = state; pill.textContent = words; }
}

/** Say something to a screen reader alone. */
export function announce(sentence) {
  document.getElementById("announcer").textContent = sentence;
}

/** Show `sentence` for some seconds; `undo`, a function, gives it a button. state: ok, warn, bad, note. */
export function toast(sentence, { undo = null, state = "note", seconds = undo ? 10 : 5 } = {}) {
  const line = document.createElement("div");
  line.className = "toast";
  line.dataset.state = state;
  const words = document.createElement("span");
  words.textContent = sentence;
  line.append(words);
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = t("common.undo");
    button.addEventListener("click", () => { line.remove(); undo(); });
    line.append(button);
  }
  const toasts = document.getElementById("toasts");
  for (const button of toasts.querySelectorAll("button")) button.remove();  // it would take back what came after
  toasts.append(line);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  setTimeout(() => line.remove(), seconds * 1000);
}

/** Tell that something failed. */
export function complain(error) {
  toast(t("common.failed", { why: error.message }), { state: "bad", seconds: 10 });
}

const SILENT = 15000;  // milliseconds without a word, of which the station says one every 5 s at least
const pressed = new Map();  // key -> [words, function]

/** Keys of this page: {"r": [words, () => ...]}. Shown on "?"; silent in fields and with Ctrl, Alt or Meta. */
export function keys(map) {
  for (const [key, entry] of Object.entries(map)) pressed.set(key, entry);
}

function typing(target) {
  return target.isContentEditable || target.matches?.("textarea, select, input:not([type=checkbox]):not([type=radio]):not([type=button]):not([type=range])");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (typing(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "?") { event.preventDefault(); help(); return; }
  const entry = pressed.get(event.key) ?? pressed.get(event.key.toLowerCase());
  if (entry) { event.preventDefault(); entry[1](event); }
});

/** Show the keys of this page. */
export function help() {
  let dialog = document.getElementById("keys");
  if (!dialog) {
    dialog = document.createElement("dialog");
    dialog.id = "keys";
    dialog.className = "stack";
    document.body.append(dialog);
  }
  const title = document.createElement("h2");
  title.id = "keys-title";
  title.textContent = t("common.keys_title");
  dialog.setAttribute("aria-labelledby", title.id);
  const list = document.createElement("dl");
  list.className = "keys";
  for (const [key, [words]] of [...pressed, ["?", [t("common.keys")]]]) {
    const name = document.createElement("dt");
    const cap = document.createElement("kbd");
    cap.textContent = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "␣" }[key] ?? key;
    name.append(cap);
    const meaning = document.createElement("dd");
    meaning.textContent = words;
    list.append(name, meaning);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = t("common.close");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(title, list, close);
  dialog.showModal();
}

/**
 * Live values of `path` (server-sent events): `seen(value)` for each. The browser connects again by itself; until then
 * the page says that what it shows may be old, and `lost()` is called.
 */
export function stream(path, seen, lost = () => {}) {
  const bar = document.getElementById("connection");
  let source, timer, delay = 1000, heard, down = false;
  // Two clocks: one may be set, and the other stands still while a computer sleeps.
  const hear = () => { heard = [performance.now(), Date.now()]; };
  const silent = () => performance.now() - heard[0] > SILENT || Math.abs(Date.now() - heard[1]) > SILENT;
  hear();
  const gone = () => {
    if (down) return;
    down = true;
    bar.textContent = t("common.connection_lost");
    bar.hidden = false;
    lost();
  };
  const open = () => {
    source = new EventSource(path);
    const alive = () => {
      hear();
      delay = 1000;
      if (down) { down = false; bar.hidden = true; announce(t("common.connection_back")); }
    };
    source.addEventListener("message", (event) => { alive(); seen(JSON.parse(event.data)); });
    source.addEventListener("heartbeat", alive);
    source.addEventListener("ended", () => { source.close(); toast(t("common.session_ended")); location.reload(); });
    source.addEventListener("error", () => { source.close(); gone(); again(); });
  };
  const enter = async () => {  // where the page was started again, nobody is logged in any more
    const answer = await fetch(location.href, { method: "HEAD", headers: { Accept: "*/*" } }).catch(() => null);
    if (answer?.status === 401) location.reload(); else open();
  };
  const again = () => { clearTimeout(timer); timer = setTimeout(enter, delay); delay = Math.min(delay * 2, 15000); };
  setInterval(() => {  // a connection may be dead without an error
    if (silent() && source.readyState !== EventSource.CLOSED) { source.close(); gone(); again(); hear(); }
  }, 1000);
  open();
}

const THEMES = ["auto", "dark", "light", "contrast"];
document.querySelector("[data-theme-button]")?.addEventListener("click", () => {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme) + 1) % THEMES.length];
  root.dataset.theme = next;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `theme=${next}; Path=/; Max-Age=31536000; SameSite=Strict${secure}`;
  toast(t(`common.theme_${next}`), { seconds: 2 });
});
document.querySelector("[data-help]")?.addEventListener("click", help);

const clock = document.getElementById("clock");
if (clock) {
  const format = new Intl.DateTimeFormat(page.language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const tick = () => { clock.textContent = format.format(new Date()); };
  tick();
  setInterval(tick, 1000);
}
