// One picture: its label, and boxes by mouse, touch and keys. Boxes are in pixels of the upright picture.
import { announce, complain, keys, post, t, toast } from "./base.js";

const setup = JSON.parse(document.getElementById("setup").textContent);
const SVG = "http://www.w3.org/2000/svg";
const LEAST = 4;  // pixels of a side
const byId = (id) => document.getElementById(id);
const stage = byId("stage"), picture = byId("picture"), svg = byId("boxes");

let item = null;      // what /items/N said
let label = "";       // the label that is chosen
let boxes = [];       // [x, y, width, height]
let selected = -1;    // which box the keys move
let mapShown = false;
let shownAt = 0;      // milliseconds
let progress = setup;
let busy = false;
const fetched = new Map();  // number -> promise of what /items/N says

const isFault = (name) => { const at = setup.labels.indexOf(name); return at >= 0 && (setup.faults[at] || !setup.faults.includes(true)); };
const proposedBox = () => item?.proposal?.boxes[label] ?? null;
const percent = (share) => `${Math.round(share * 100)} %`;

function details(number) {
  if (!fetched.has(number)) {
    const asked = fetch(`/items/${number}`, { headers: { Accept: "application/json" } }).then(async (answer) => {
      if (answer.status === 401) location.reload();
      const value = await answer.json();
      if (!answer.ok) throw new Error(value.error);
      return value;
    });
    asked.catch(() => fetched.delete(number));
    fetched.set(number, asked);
    if (fetched.size > 12) fetched.delete(fetched.keys().next().value);
  }
  return fetched.get(number);
}

function prepare(number) {  // the next picture is read and judged while a person looks at this one
  if (number >= setup.total) return;
  details(number).then((value) => { if (!value.unread) new Image().src = `/pictures/${number}`; }).catch(() => {});
}

async function show(number) {
  if (setup.total === 0) return;
  number = Math.max(0, Math.min(number, setup.total - 1));
  stage.setAttribute("aria-busy", "true");
  try {
    item = await details(number);
  } catch (error) { complain(error); return; }
  history.replaceState(null, "", `#${number}`);
  begin();
  picture.src = item.unread ? "" : address();
  picture.alt = t("label.picture_of", { name: item.id });
  if (!item.unread) await picture.decode().catch(() => {});
  draw();  // now that the page has its size, which grips go by
  stage.removeAttribute("aria-busy");
  stage.dataset.number = String(number);
  shownAt = performance.now();
  prepare(number + 1);
}

function begin() {
  const answered = item.answered?.answer === "label" ? item.answered : null;
  label = answered?.label || item.label || item.proposal?.label || "";
  boxes = (answered?.boxes ?? item.boxes ?? []).map((box) => [...box]);
  if (!answered && !boxes.length && isFault(label) && proposedBox()) boxes = [[...proposedBox()]];
  selected = boxes.length ? 0 : -1;
  mapShown = false;
  byId("unread").hidden = !item.unread;
  byId("unread").textContent = item.unread ?? "";
  if (item.width) svg.setAttribute("viewBox", `0 0 ${item.width} ${item.height}`);
  tellWhy();
  draw();
}

function address() {
  const at = setup.labels.indexOf(isFault(label) ? label : item.proposal?.label ?? label);
  return mapShown && at >= 0 && item.maps?.includes(at) ? `/maps/${item.number}/${at}` : `/pictures/${item.number}`;
}

function tellWhy() {
  byId("reason").textContent = t(`label.reason_${item.reason}`);
  byId("reason").dataset.state = item.reason === "contradicted" ? "warn" : "note";
  const known = item.reason === "judge" ? "" : item.label ? t("label.now", { label: item.label }) : t("label.now_none");
  const values = { rival: item.rival, chance: item.chance === null ? "" : percent(item.chance), label: item.label };
  const key = item.reason === "contradicted" && item.chance === null ? "why_two_labels" : `why_${item.reason}`;
  byId("why").textContent = `${known} ${t(`label.${key}`, values)}`.trim();
  byId("name").textContent = item.id;
  byId("place").textContent = t("label.place", { n: item.number + 1, total: setup.total });
  byId("model-says").textContent = item.proposal ? t("label.model_says", { label: item.proposal.label, chance: percent(item.proposal.probability) }) : "";
  if (item.answered) byId("model-says").textContent = t("label.answered_by", { who: item.answered.who, when: new Date(item.answered.when).toLocaleString() });
}

// Drawing

function part(name, attributes, parent) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  parent.append(found);
  return found;
}

function unit() {  // pixels of the picture for one of the screen
  const seen = svg.getBoundingClientRect();
  return item?.width && seen.width && seen.height ? Math.max(item.width / seen.width, item.height / seen.height) : 1;
}

function draw() {
  const hadFocus = svg.contains(document.activeElement);
  svg.replaceChildren();
  const proposal = proposedBox();
  if (proposal && isFault(label)) part("rect", { class: "proposal", x: proposal[0], y: proposal[1], width: proposal[2], height: proposal[3] }, svg);
  boxes.forEach((box, at) => drawBox(box, at));
  if (hadFocus && selected >= 0) svg.querySelector(`[data-at="${selected}"]`).focus();
  byId("remove-box").disabled = selected < 0;
  byId("proposed-box").disabled = !proposal;
  byId("show-map").disabled = !item?.maps?.length;
  byId("show-map").setAttribute("aria-pressed", String(mapShown));
  byId("measures").textContent = selected >= 0 ? t("label.measures", size(boxes[selected])) : "";
  for (const button of byId("choices").children) {
    const own = button.dataset.label === label;
    button.setAttribute("aria-checked", String(own));
    button.querySelector(".says").textContent = says(button.dataset.label);
  }
  byId("confirm").disabled = !label || Boolean(item?.unread);
  byId("confirm").firstElementChild.textContent = label ? confirmation() : t("label.confirm");
}

const size = ([x, y, width, height]) => ({ x: Math.round(x), y: Math.round(y), width: Math.round(width), height: Math.round(height) });
const confirmation = () => isFault(label) ? t("label.confirm_boxes", { label, n: boxes.length }) : t("label.confirm_label", { label });

function says(name) {  // who says so: the data, the model, or what speaks against the label
  const said = [];
  if (name === item?.label && item.reason !== "judge") said.push(t("label.says_data"));
  if (name === item?.proposal?.label) said.push(t("label.says_model"));
  else if (name === item?.rival) said.push(t("label.says_rival"));
  return said.join(" · ");
}

function drawBox([x, y, width, height], at) {
  const group = part("g", { class: "box", tabindex: 0, role: "img", "data-at": at, "aria-current": String(at === selected),
    "aria-label": t("label.box_is", { n: at + 1, ...size([x, y, width, height]) }) }, svg);
  part("rect", { class: "under", x, y, width, height }, group);
  part("rect", { class: "area", x, y, width, height }, group);
  const grip = 5 * unit(), caught = 22 * unit();
  for (const [corner, cx, cy] of [["nw", x, y], ["ne", x + width, y], ["sw", x, y + height], ["se", x + width, y + height]]) {
    part("rect", { class: "grip", x: cx - grip, y: cy - grip, width: 2 * grip, height: 2 * grip }, group);
    part("rect", { class: `catch ${corner}`, "data-corner": corner, x: cx - caught / 2, y: cy - caught / 2, width: caught, height: caught }, group);
  }
  group.addEventListener("focus", () => { if (selected !== at) { selected = at; draw(); svg.querySelector(`[data-at="${at}"]`).focus(); } });
}

// Mouse and touch

let drag = null;  // {kind, at, from, box}

function place(event) {
  const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return [clamp(point.x, 0, item.width), clamp(point.y, 0, item.height)];
}
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

svg.addEventListener("pointerdown", (event) => {
  if (!item?.width || event.button > 0 || drag) return;
  event.preventDefault();
  const from = place(event), group = event.shiftKey ? null : event.target.closest(".box");  // with Shift a new one inside another
  if (group) {
    selected = Number(group.dataset.at);
    drag = { kind: event.target.dataset.corner ?? "move", at: selected, from, box: [...boxes[selected]] };
    draw();
    svg.querySelector(`[data-at="${selected}"]`).focus();
  } else {
    drag = { kind: "new", at: boxes.length, from, box: [from[0], from[1], 0, 0] };
  }
  svg.setPointerCapture(event.pointerId);
});

svg.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const [x, y] = place(event), [fx, fy] = drag.from, [bx, by, bw, bh] = drag.box;
  if (drag.kind === "new") {
    if (boxes.length === drag.at && Math.hypot(x - fx, y - fy) < LEAST * unit()) return;
    if (boxes.length === drag.at) becomeFault();
    boxes[drag.at] = between(fx, fy, x, y);
    selected = drag.at;
  } else if (drag.kind === "move") {
    boxes[drag.at] = [clamp(bx + x - fx, 0, item.width - bw), clamp(by + y - fy, 0, item.height - bh), bw, bh];
  } else {
    const fixedX = drag.kind.endsWith("w") ? bx + bw : bx, fixedY = drag.kind.startsWith("n") ? by + bh : by;
    boxes[drag.at] = between(fixedX, fixedY, x, y);
  }
  draw();
});

function released() {
  if (!drag) return;
  const made = boxes[drag.at];
  if (made && Math.min(made[2], made[3]) < LEAST) {  // a click, not a box
    if (drag.kind === "new") { boxes.splice(drag.at, 1); selected = boxes.length - 1; } else boxes[drag.at] = drag.box;
  }
  if (!made && drag.kind === "new") selected = -1;
  drag = null;
  draw();
}
svg.addEventListener("pointerup", released);
svg.addEventListener("pointercancel", released);

function between(x1, y1, x2, y2) {
  return [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)];
}

/** A box is drawn on a picture that is taken for healthy: it shows a fault, the only one or the one that the model sees. */
function becomeFault() {
  if (isFault(label)) return;
  const faults = setup.labels.filter(isFault);
  const seen = [item.rival, item.proposal?.label].find((name) => faults.includes(name));
  if (seen || faults.length === 1) label = seen ?? faults[0];
}

// Boxes by keys and buttons

function newBox() {
  if (!item?.width) return;
  becomeFault();
  const width = item.width / 6, height = item.height / 6;
  boxes.push([(item.width - width) / 2, (item.height - height) / 2, width, height]);
  selectBox(boxes.length - 1);
}

function takeProposed() {
  const proposal = proposedBox();
  if (!proposal) return;
  const same = boxes.findIndex((box) => box.every((edge, at) => Math.abs(edge - proposal[at]) < 1));
  if (same < 0) boxes.push([...proposal]);
  selectBox(same < 0 ? boxes.length - 1 : same);
}

function selectBox(at) {
  selected = at;
  draw();
  if (at >= 0) svg.querySelector(`[data-at="${at}"]`).focus();
}

function removeBox() {
  if (selected < 0) return;
  boxes.splice(selected, 1);
  selectBox(Math.min(selected, boxes.length - 1));
  announce(t("label.box_removed"));
}

function arrow(event, across, down) {
  if (selected < 0 || !svg.contains(document.activeElement)) {
    if (across) show(item.number + across);
    return;
  }
  const step = Math.max(1, Math.round(Math.max(item.width, item.height) / 100)), [x, y, width, height] = boxes[selected];
  boxes[selected] = event.shiftKey
    ? [x, y, clamp(width + across * step, LEAST, item.width - x), clamp(height + down * step, LEAST, item.height - y)]
    : [clamp(x + across * step, 0, item.width - width), clamp(y + down * step, 0, item.height - height), width, height];
  draw();
}

// Answers

function choose(name) {
  if (!item || item.unread) return;
  if (!isFault(name)) { label = name; boxes = []; selected = -1; draw(); give("label"); return; }
  if (label === name && boxes.length) { give("label"); return; }  // the same key again confirms
  label = name;
  if (!boxes.length && proposedBox()) { boxes = [[...proposedBox()]]; selected = 0; }
  draw();
  announce(confirmation());
}

async function give(answer, note = "") {
  if (!item || busy || (answer === "label" && (!label || item.unread))) return;
  busy = true;
  const given = { number: item.number, answer, note, seconds: (performance.now() - shownAt) / 1000 };
  if (answer === "label") Object.assign(given, { label, boxes: isFault(label) ? boxes : [], proposed: isProposed() });
  try {
    progress = await post("/answers", { answers: [given] });
    fetched.delete(item.number);
    tellProgress();
    announce(t("label.kept", { what: answer === "label" ? label : t(`label.${answer}`) }));
    if (item.number + 1 >= setup.total) toast(t("label.all_seen"), { state: "ok" });
    await show(Math.min(item.number + 1, setup.total - 1));
  } catch (error) { complain(error); } finally { busy = false; }
}

function isProposed() {
  if (label !== item.proposal?.label) return false;
  const proposal = proposedBox();
  if (!isFault(label) || !proposal) return true;
  return boxes.length === 1 && boxes[0].every((edge, at) => Math.abs(edge - proposal[at]) < 1);
}

async function undo() {
  if (busy) return;
  busy = true;
  try {
    const found = await post("/undo");
    if (!found.numbers.length) { toast(t("label.nothing_to_undo")); return; }
    progress = found;
    fetched.clear();
    tellProgress();
    toast(t("label.undone", { n: found.numbers.length }));
    await show(found.numbers[0]);
  } catch (error) { complain(error); } finally { busy = false; }
}

async function finish() {
  try {
    const found = await post("/finish");
    for (const sentence of found.sentences) toast(sentence, { state: "ok", seconds: 12 });
  } catch (error) { complain(error); }
}

function tellProgress() {
  byId("counted").textContent = t("label.counted", { answered: progress.answered, total: progress.total });
  byId("progress").max = Math.max(1, progress.total);
  byId("progress").value = progress.answered;
  const left = Object.entries(progress.reasons).filter(([, [done, all]]) => done < all).map(([reason, [done, all]]) => `${t(`label.reason_${reason}`)}: ${all - done}`);
  byId("left").textContent = left.length ? t("label.left", { list: left.join(", ") }) : t("label.none_left");
}

function toggleMap() {
  if (!item?.maps?.length) return;
  mapShown = !mapShown;
  picture.src = address();
  byId("show-map").setAttribute("aria-pressed", String(mapShown));
}

function nextOpen(step) { show(item ? item.number + step : setup.start); }

setup.labels.forEach((name, at) => {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.label = name;
  button.setAttribute("role", "radio");
  const words = document.createElement("span"), said = document.createElement("span"), cap = document.createElement("kbd");
  words.textContent = name;
  said.className = "says";
  cap.textContent = at < 9 ? String(at + 1) : "";
  cap.hidden = at >= 9;
  button.append(words, said, cap);
  button.addEventListener("click", () => choose(name));
  byId("choices").append(button);
});

const dialog = byId("else-dialog");
function somethingElse() { if (item) { byId("else-note").value = ""; dialog.returnValue = ""; dialog.showModal(); } }
dialog.addEventListener("close", () => { if (dialog.returnValue === "1") give("something_else", byId("else-note").value.trim()); });

for (const [id, action] of Object.entries({
  "confirm": () => give("label"), "something-else": somethingElse, "cannot-tell": () => give("cannot_tell"), "new-box": newBox,
  "proposed-box": takeProposed, "remove-box": removeBox, "show-map": toggleMap, "undo": undo, "finish": finish,
  "next": () => nextOpen(1), "previous": () => nextOpen(-1),
})) byId(id).addEventListener("click", action);

keys({
  "Enter": [t("label.key_confirm"), (event) => { if (event.target.matches("button, a")) event.target.click(); else give("label"); }],
  ...Object.fromEntries(setup.labels.slice(0, 9).map((name, at) => [String(at + 1), [name, () => choose(name)]])),
  "0": [t("label.something_else"), somethingElse],
  "c": [t("label.cannot_tell"), () => give("cannot_tell")],
  "u": [t("label.undo"), undo],
  "b": [t("label.new_box"), newBox],
  "p": [t("label.proposed_box"), takeProposed],
  "x": [t("label.remove_box"), removeBox],
  "Delete": [t("label.remove_box"), removeBox],
  "ArrowLeft": [t("label.key_arrows"), (event) => arrow(event, -1, 0)],
  "ArrowRight": [t("label.key_arrows"), (event) => arrow(event, 1, 0)],
  "ArrowUp": [t("label.key_up_down"), (event) => arrow(event, 0, -1)],
  "ArrowDown": [t("label.key_up_down"), (event) => arrow(event, 0, 1)],
  "Escape": [t("label.key_leave_box"), () => { document.activeElement.blur?.(); selectBox(-1); byId("main").focus(); }],
  "j": [t("label.next"), () => nextOpen(1)],
  "k": [t("label.previous"), () => nextOpen(-1)],
  "m": [t("label.map"), toggleMap],
  "g": [t("label.many"), () => { location.href = "/grid"; }],
});

addEventListener("resize", () => { if (item) draw(); });
tellProgress();
const asked = /^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : setup.start;
show(asked);
