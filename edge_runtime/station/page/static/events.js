// Events: moving through the list, judging by keys, undo. The page works by its links without this.

import { announce, breakable, complain, headState, keys, post, t, toast } from "./base.js";
import { Boxes } from "./boxes.js";

const pane = document.getElementById("pane");
const list = document.getElementById("list");
let map = false;
const undos = [];  // addresses that take back what was done on this page, the newest last
let canvas = null;  // the boxes on the picture of the event that is shown
const drafts = new Map();  // event -> boxes, as shares of the picture, that are drawn and not kept yet
let turn = 0;  // of the newest event that was asked for; an older answer is dropped

const shown = () => pane?.querySelector(".event");
const rows = () => [...(list?.querySelectorAll("[data-id]") ?? [])];
const rowOf = (id) => rows().find((row) => row.dataset.id === id);

async function part(address) {
  const answer = await fetch(address);
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.text();
}

/** The picture is as large as the window lets it be, and the map lies on it. */
function fit(image) {
  if (image.naturalHeight) image.parentElement.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
}
pane?.addEventListener("load", (event) => { if (event.target.matches(".clean")) fit(event.target); }, true);
for (const image of document.querySelectorAll(".clean")) if (image.complete) fit(image);

function showMap() {
  const button = pane?.querySelector("[data-map]");
  const heat = pane?.querySelector(".heat");
  if (!button || !heat) return;
  if (map && !heat.getAttribute("src")) heat.src = heat.dataset.src;
  heat.hidden = !map;
  button.setAttribute("aria-pressed", map);
}

const scaled = (boxes, across, down) => boxes.map(([x, y, width, height]) => [x * across, y * down, width * across, height * down]);

/** The boxes that are drawn now, as shares of the picture. */
const drawn = () => (canvas?.width ? scaled(canvas.boxes, 1 / canvas.width, 1 / canvas.height) : []);

/** Show what boxes the event has; they are drawn by who may judge. */
function prepare() {
  const svg = pane?.querySelector(".boxes"), image = pane?.querySelector(".clean"), data = document.getElementById("boxes-data");
  canvas = null;
  if (!svg || !image || !data) return;
  const id = shown().dataset.event, kept = JSON.parse(data.textContent), tools = pane.querySelector(".box-tools");
  const changed = () => {
    if (!tools || !canvas) return;
    const waits = JSON.stringify(canvas.boxes) !== JSON.stringify(scaled(kept, canvas.width, canvas.height));
    if (waits) drafts.set(id, drawn()); else drafts.delete(id);
    tools.querySelector("[data-do=unbox]").disabled = canvas.selected < 0;
    const hint = tools.querySelector("[data-box-hint]");
    hint.textContent = t(waits ? "event.boxes_wait" : "event.draw");
    hint.dataset.state = waits ? "warn" : "";
  };
  const begin = () => {
    const { naturalWidth: width, naturalHeight: height } = image, draft = drafts.get(id);
    const made = new Boxes(svg, { changed, fingers: false, free: Boolean(tools) });
    canvas = made;
    made.begin(width, height, scaled(draft ?? kept, width, height));
  };
  if (image.complete && image.naturalWidth) begin(); else image.addEventListener("load", begin, { once: true });
}
prepare();

/** Where the focus is within the pane, to be there again when it is written anew. */
function focusPlace() {
  const button = pane.contains(document.activeElement) ? document.activeElement.closest("button") : null;
  const name = ["verdict", "do", "map"].find((name) => button && name in button.dataset);
  return name && `button[data-${name}${button.dataset[name] ? `="${button.dataset[name]}"` : ""}]`;
}

/** Show the event in the pane. */
async function show(id, remember = true) {
  const mine = ++turn;
  try {
    const text = await part(`/events/${id}?part=1`);
    if (mine !== turn) return;
    const place = focusPlace();
    pane.innerHTML = text;  // escaped where it was made
    if (place) pane.querySelector(place)?.focus();
  } catch (error) { complain(error); return; }
  for (const row of rows()) {
    const link = row.querySelector("a");
    if (row.dataset.id === id) { link.setAttribute("aria-current", "true"); row.scrollIntoView({ block: "nearest" }); }
    else link.removeAttribute("aria-current");
  }
  const query = list?.dataset.query;
  if (remember) history.replaceState(null, "", `/events/${id}${query ? `?${query}` : ""}`);
  showMap();
  prepare();
  const { label, camera, chance } = shown().dataset;
  announce(t("event.shown", { label, camera, chance }));
}

/** Go `step` rows on and return true, where there is one; with `open`, to the next one that nobody has judged, if any. */
function move(step, open = false) {
  const all = rows();
  const at = all.findIndex((row) => row.dataset.id === shown()?.dataset.event);
  let to = all[at + step];
  if (open) to = all.slice(at + 1).find((row) => !("judged" in row.dataset)) ?? to;
  if (to) show(to.dataset.id);
  else if (step > 0 && document.getElementById("older")) location.href = document.getElementById("older").href;
  else return false;
  return true;
}

async function refresh(id) {
  const row = rowOf(id);
  if (row) {
    const holder = document.createElement("template");
    holder.innerHTML = await part(`/events/${id}?row=1`);
    row.replaceWith(holder.content.querySelector("li"));
  }
}

async function act(address, body, { forward = false, kept = () => {} } = {}) {
  try {
    const said = await post(address, body);
    kept();
    if (said.undo) undos.push(said.undo);
    toast(said.message, { state: "ok", undo: said.undo ? () => takeBack(said.undo) : null });
    const id = said.event || shown()?.dataset.event;
    await refresh(id);
    if (!(forward && rows().length > 1 && move(1, true)) && id) await show(id);
  } catch (error) { complain(error); }
}

/** Take back what was done by this address, else what was done last: on this page, then by this person. */
const takeBack = (address) => {
  const at = address ? undos.indexOf(address) : undos.length - 1;
  act(at < 0 ? address ?? "/judgements/undo" : undos.splice(at, 1)[0], {});
};
const judge = (verdict, label = "") => {
  const id = shown()?.dataset.event;
  if (!id) return;
  const boxes = verdict === "right" || verdict === "other" ? drawn() : [];
  act(`/events/${id}/judge`, { verdict, true_label: label, boxes }, { forward: true, kept: () => drafts.delete(id) });
};

/** Open a dialog whose choices may be taken by number. */
function choose(dialog) {
  if (!dialog.dataset.ready) {
    dialog.dataset.ready = "yes";
    dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
    dialog.addEventListener("keydown", (event) => {
      if (event.target.matches("input")) return;
      const button = /^[1-9]$/.test(event.key) && dialog.querySelectorAll(".choices button")[Number(event.key) - 1];
      if (button) { event.preventDefault(); button.click(); }
    });
  }
  dialog.showModal();
}

function other() {
  const data = document.getElementById("classes-data");
  if (!data) return;
  const dialog = document.getElementById("other");
  const buttons = JSON.parse(data.textContent).map((label, index) => {
    const button = document.createElement("button");
    button.type = "button";
    if (index < 9) {
      const key = document.createElement("kbd");
      key.textContent = index + 1;
      button.append(key);
    }
    button.append(breakable(label));
    button.addEventListener("click", () => { dialog.close(); judge("other", label); });
    return button;
  });
  document.getElementById("classes").replaceChildren(...buttons);
  document.getElementById("own").reset();
  choose(dialog);
}
document.getElementById("own").addEventListener("submit", (event) => {
  event.preventDefault();
  document.getElementById("other").close();
  judge("other", document.getElementById("word").value);
});

const acknowledge = () => { if (shown()) act(`/events/${shown().dataset.event}/acknowledge`, {}); };
const snooze = () => { if (shown()) choose(document.getElementById("snooze")); };
for (const button of document.querySelectorAll("#snooze [data-hours]")) {
  button.addEventListener("click", () => {
    document.getElementById("snooze").close();
    const { camera, label } = shown().dataset;
    act(`/cameras/${camera}/snooze`, { label, hours: button.dataset.hours });
  });
}

const box = () => canvas?.free && canvas.addInTheMiddle();
const unbox = () => canvas?.free && canvas.remove();
const deeds = { acknowledge, snooze, undo: () => takeBack(), box, unbox };
pane?.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("map" in button.dataset) { map = !map; showMap(); }
  else if (button.dataset.verdict === "other") other();
  else if (button.dataset.verdict) judge(button.dataset.verdict);
  else if (button.dataset.do) deeds[button.dataset.do]();
});
list?.addEventListener("click", (event) => {
  const row = event.target.closest("[data-id]");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (getComputedStyle(pane).display === "none") return;  // a phone: the event has a page of its own
  event.preventDefault();
  show(row.dataset.id);
});

document.getElementById("filter-toggle").addEventListener("click", (event) => {  // on a phone
  const folded = document.getElementById("filters").classList.toggle("folded");
  event.currentTarget.setAttribute("aria-expanded", !folded);
});
for (const field of document.querySelectorAll("#filters select, #filters input[type=checkbox]")) {
  field.addEventListener("change", () => document.getElementById("filters").requestSubmit());
}
document.getElementById("filters").addEventListener("submit", (event) => {
  for (const field of event.target.elements) if (!field.value) field.disabled = true;  // a short address
});

const toggle = () => { map = !map; showMap(); };
const forward = [t("events.key_next"), () => move(1)];
const back = [t("events.key_previous"), () => move(-1)];
const arrow = (words, across, down) => [words, (event) => { if (!canvas?.arrow(event, across, down) && down) move(down); }];
keys({ j: forward, ArrowDown: arrow(forward[0], 0, 1), k: back, ArrowUp: arrow(back[0], 0, -1), m: [t("event.key_map"), toggle] });
if (pane?.querySelector(".judge")) {
  keys({
    r: [t("verdict.right"), () => judge("right")],
    w: [t("verdict.wrong"), () => judge("wrong")],
    o: [t("verdict.other"), other],
    c: [t("verdict.unsure"), () => judge("unsure")],
    u: [t("common.undo"), () => takeBack()],
    a: [t("event.acknowledge"), acknowledge],
    s: [t("event.snooze"), snooze],
    b: [t("boxes.new"), box],
    x: [t("boxes.remove"), unbox],
    Delete: [t("boxes.remove"), unbox],
    ArrowLeft: arrow(t("boxes.key_arrows"), -1, 0),
    ArrowRight: arrow(t("boxes.key_arrows"), 1, 0),
    Escape: [t("boxes.key_leave"), () => canvas?.leave()],
  });
}
keys({ "/": [t("events.key_filter"), () => document.getElementById("camera").focus()] });
addEventListener("resize", () => canvas?.draw());  // the grips keep their size

const LOOK = 10000;  // milliseconds between two looks for a newer alarm
const fresh = document.getElementById("fresh");
setInterval(async () => {
  const answer = await fetch("/events/newest").catch(() => null);
  if (answer?.status === 401) location.reload();
  if (!answer?.ok) return;
  const { newest, state, words } = await answer.json();
  headState(state, words);
  if (newest <= Number(fresh.dataset.newest) || !fresh.hidden) return;
  fresh.hidden = false;
  fresh.querySelector("span").textContent = t("events.fresh");
}, LOOK);
