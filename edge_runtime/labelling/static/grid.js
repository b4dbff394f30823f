// Many pictures at once: choose them by mouse, touch or keys, then give all of them one label.
import { announce, complain, get, keys, post, t, toast } from "./base.js";

const setup = JSON.parse(document.getElementById("setup").textContent);
const byId = (id) => document.getElementById(id);
const grid = byId("grid");
let items = [], start = 0, matching = 0, anchor = 0, loading = 0;
const chosen = new Set();  // numbers

function option(select, value, words) {
  const found = document.createElement("option");
  found.value = value;
  found.textContent = words;
  select.append(found);
}
option(byId("reason"), "", t("label.all"));
for (const reason of Object.keys(setup.reasons)) option(byId("reason"), reason, t(`label.reason_${reason}`));
option(byId("label"), "", t("label.all"));
for (const label of setup.labels) option(byId("label"), label, label);

async function load(at = start) {
  const turn = ++loading;
  start = Math.max(0, at);
  const query = new URLSearchParams({ start, reason: byId("reason").value, label: byId("label").value, open: byId("open").value });
  try {
    const found = await get(`/items?${query}`);
    if (turn !== loading) return;
    items = found.items;
    matching = found.matching;
  } catch (error) { complain(error); return; }
  if (!items.length && matching) return load(Math.max(0, Math.floor((matching - 1) / setup.at_once) * setup.at_once));
  chosen.clear();
  draw();
}

function draw() {
  grid.replaceChildren(...items.map(tile));
  byId("none").hidden = items.length > 0;
  byId("earlier").disabled = start === 0;
  byId("later").disabled = start + setup.at_once >= matching;
  if (items.length) { grid.firstChild.tabIndex = 0; anchor = 0; }
  tellChosen();
}

function tile(item, at) {
  const found = document.createElement("div"), image = document.createElement("img"), words = document.createElement("p"), more = document.createElement("p");
  found.setAttribute("role", "option");
  found.setAttribute("aria-selected", "false");
  found.tabIndex = -1;
  found.dataset.number = item.number;
  image.src = `/small/${item.number}`;
  image.loading = "lazy";
  image.alt = "";
  image.draggable = false;
  words.textContent = item.answered ? answerOf(item.answered) : item.label || t("label.no_label");
  more.textContent = item.rival ? t("label.rather", { reason: t(`label.reason_${item.reason}`), rival: item.rival }) : t(`label.reason_${item.reason}`);
  found.append(image, words, more);
  found.title = item.id;
  found.addEventListener("click", (event) => choose(at, event.shiftKey));
  return found;
}

const answerOf = (answered) => answered.answer === "label" ? t("label.given", { label: answered.label }) : t(`label.${answered.answer}`);

function set(at, on) {
  const number = items[at].number;
  if (on) chosen.add(number); else chosen.delete(number);
  grid.children[at].setAttribute("aria-selected", String(on));
}

function choose(at, range) {
  if (range) for (let one = Math.min(at, anchor); one <= Math.max(at, anchor); one += 1) set(one, true);
  else set(at, !chosen.has(items[at].number));
  anchor = at;
  focus(at);
  tellChosen();
}

function focus(at) {
  if (at < 0 || at >= items.length) return;
  for (const one of grid.children) one.tabIndex = -1;
  grid.children[at].tabIndex = 0;
  grid.children[at].focus();
}

const focused = () => [...grid.children].indexOf(document.activeElement);
const columns = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;
const step = (by) => () => focus(focused() < 0 ? 0 : focused() + by());

function all() {
  const on = chosen.size < items.length;
  items.forEach((_, at) => set(at, on));
  tellChosen();
}

function tellChosen() {
  byId("chosen").textContent = t("label.chosen", { n: chosen.size, total: matching });
  for (const button of document.querySelectorAll("#choices button, #cannot-tell")) button.disabled = chosen.size === 0;
}

async function give(answer, label = "") {
  if (!chosen.size) { announce(t("label.choose_first")); return; }
  const answers = [...chosen].map((number) => ({ number, answer, label }));  // without seconds: how long one of many was looked at is not known
  try {
    tell(await post("/answers", { answers }));
    toast(t("label.many_kept", { n: answers.length, what: answer === "label" ? label : t(`label.${answer}`) }), { undo, state: "ok" });
    await load();
  } catch (error) { complain(error); }
}

async function undo() {
  try {
    const found = await post("/undo");
    if (!found.numbers.length) { toast(t("label.nothing_to_undo")); return; }
    tell(found);
    toast(t("label.undone", { n: found.numbers.length }));
    await load();
  } catch (error) { complain(error); }
}

function tell(progress) { byId("counted").textContent = t("label.counted", { answered: progress.answered, total: progress.total }); }

setup.labels.forEach((name, at) => {
  const button = document.createElement("button"), cap = document.createElement("kbd");
  button.type = "button";
  button.append(name);
  if (at < 9) { cap.textContent = String(at + 1); button.append(cap); }
  button.addEventListener("click", () => give("label", name));
  byId("choices").append(button);
});
byId("all").addEventListener("click", all);
byId("cannot-tell").addEventListener("click", () => give("cannot_tell"));
byId("undo").addEventListener("click", undo);
byId("earlier").addEventListener("click", () => load(start - setup.at_once));
byId("later").addEventListener("click", () => load(start + setup.at_once));
byId("filters").addEventListener("change", () => load(0));
byId("filters").addEventListener("submit", (event) => event.preventDefault());

keys({
  " ": [t("label.key_choose"), () => { if (focused() >= 0) choose(focused(), false); }],
  "a": [t("label.choose_all"), all],
  ...Object.fromEntries(setup.labels.slice(0, 9).map((name, at) => [String(at + 1), [name, () => give("label", name)]])),
  "c": [t("label.cannot_tell"), () => give("cannot_tell")],
  "u": [t("label.undo"), undo],
  "ArrowLeft": [t("label.key_move"), step(() => -1)],
  "ArrowRight": [t("label.key_move"), step(() => 1)],
  "ArrowUp": [t("label.key_move"), step(() => -columns())],
  "ArrowDown": [t("label.key_move"), step(() => columns())],
  "j": [t("label.next"), () => load(start + setup.at_once)],
  "k": [t("label.previous"), () => load(start - setup.at_once)],
  "/": [t("label.filter_reason"), () => byId("reason").focus()],
  "g": [t("label.one"), () => { location.href = "/"; }],
});
tell(setup);
load(0);
