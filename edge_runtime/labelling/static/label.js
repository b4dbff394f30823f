// One picture: its label, and boxes by mouse, touch and keys. Boxes are in pixels of the upright picture.
import { announce, breakable, complain, get, keys, post, t, toast } from "./base.js";
import { Boxes } from "./boxes.js";

const setup = JSON.parse(document.getElementById("setup").textContent);
const byId = (id) => document.getElementById(id);
const stage = byId("stage"), picture = byId("picture"), svg = byId("boxes");

let item = null;      // what /items/N said
let label = "";       // the label that is chosen
let mapShown = false;
let shownAt = 0;      // milliseconds
let progress = setup;
let busy = false;
const fetched = new Map();  // number -> promise of what /items/N says

const isFault = (name) => { const at = setup.labels.indexOf(name); return at >= 0 && (setup.faults[at] || !setup.faults.includes(true)); };
const proposedBox = () => (isFault(label) ? item?.proposal?.boxes[label] ?? null : null);
const canvas = new Boxes(svg, { changed: tell, began: becomeFault });
const percent = (share) => `${Math.round(share * 100)} %`;

function details(number) {
  if (!fetched.has(number)) {
    const asked = get(`/items/${number}`);
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
  let boxes = answered?.boxes ?? item.boxes ?? [];
  if (!answered && !boxes.length && proposedBox()) boxes = [proposedBox()];
  canvas.proposal = proposedBox();
  mapShown = false;
  byId("unread").hidden = !item.unread;
  byId("unread").textContent = item.unread ?? "";
  tellWhy();
  canvas.begin(item.width ?? 0, item.height ?? 0, boxes);
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

function draw() {
  canvas.proposal = proposedBox();
  canvas.draw();
}

/** Tools and answers follow the boxes and the chosen label. */
function tell() {
  byId("remove-box").disabled = canvas.selected < 0;
  byId("proposed-box").disabled = !proposedBox();
  byId("show-map").disabled = !item?.maps?.length;
  byId("show-map").setAttribute("aria-pressed", String(mapShown));
  byId("measures").textContent = canvas.measures;
  for (const button of byId("choices").children) {
    const own = button.dataset.label === label;
    button.setAttribute("aria-checked", String(own));
    button.querySelector(".says").textContent = says(button.dataset.label);
  }
  byId("confirm").disabled = !label || Boolean(item?.unread);
  byId("confirm").firstElementChild.textContent = label ? confirmation() : t("label.confirm");
}

const confirmation = () => {
  if (isFault(label)) return t("label.confirm_boxes", { label, n: canvas.boxes.length });
  return t(canvas.boxes.length ? "label.confirm_no_fault" : "label.confirm_label", { label });
};

function says(name) {  // who says so: the data, the model, or what speaks against the label
  const said = [];
  if (name === item?.label && item.reason !== "judge") said.push(t("label.says_data"));
  if (name === item?.proposal?.label) said.push(t("label.says_model"));
  else if (name === item?.rival) said.push(t("label.says_rival"));
  return said.join(" · ");
}

/** A box is drawn on a picture that is taken for healthy: it shows a fault, the only one or the one that the model sees. */
function becomeFault() {
  if (isFault(label)) return;
  const faults = setup.labels.filter(isFault);
  const seen = [item.rival, item.proposal?.label].find((name) => faults.includes(name));
  if (seen || faults.length === 1) label = seen ?? faults[0];
  canvas.proposal = proposedBox();
}

function takeProposed() {
  const proposal = proposedBox();
  if (!proposal) return;
  const same = canvas.boxes.findIndex((box) => box.every((edge, at) => Math.abs(edge - proposal[at]) < 1));
  if (same < 0) canvas.add(proposal); else canvas.select(same);
}

function arrow(event, across, down) {
  if (!canvas.arrow(event, across, down) && across) show(item.number + across);
}

// Answers

function choose(name) {
  if (!item || item.unread) return;
  if (!isFault(name)) { label = name; canvas.replace([]); draw(); give("label"); return; }
  if (label === name && canvas.boxes.length) { give("label"); return; }  // the same key again confirms
  label = name;
  if (!canvas.boxes.length && proposedBox()) canvas.replace([proposedBox()]);
  draw();
  announce(confirmation());
}

async function give(answer, note = "") {
  if (!item || busy || (answer === "label" && (!label || item.unread))) return;
  busy = true;
  const given = { number: item.number, answer, note, seconds: (performance.now() - shownAt) / 1000 };
  if (answer === "label") Object.assign(given, { label, boxes: isFault(label) ? canvas.boxes : [], proposed: isProposed() });
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
  if (!proposal) return true;
  return canvas.boxes.length === 1 && canvas.boxes[0].every((edge, at) => Math.abs(edge - proposal[at]) < 1);
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
  const words = breakable(name), said = document.createElement("span"), cap = document.createElement("kbd");
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
  "confirm": () => give("label"), "something-else": somethingElse, "cannot-tell": () => give("cannot_tell"), "new-box": () => canvas.addInTheMiddle(),
  "proposed-box": takeProposed, "remove-box": () => canvas.remove(), "show-map": toggleMap, "undo": undo, "finish": finish,
  "next": () => nextOpen(1), "previous": () => nextOpen(-1),
})) byId(id).addEventListener("click", action);

keys({
  "Enter": [t("label.key_confirm"), (event) => { if (event.target.matches("button, a")) event.target.click(); else give("label"); }],
  ...Object.fromEntries(setup.labels.slice(0, 9).map((name, at) => [String(at + 1), [name, () => choose(name)]])),
  "0": [t("label.something_else"), somethingElse],
  "c": [t("label.cannot_tell"), () => give("cannot_tell")],
  "u": [t("label.undo"), undo],
  "b": [t("boxes.new"), () => canvas.addInTheMiddle()],
  "p": [t("label.proposed_box"), takeProposed],
  "x": [t("boxes.remove"), () => canvas.remove()],
  "Delete": [t("boxes.remove"), () => canvas.remove()],
  "ArrowLeft": [t("label.key_arrows"), (event) => arrow(event, -1, 0)],
  "ArrowRight": [t("label.key_arrows"), (event) => arrow(event, 1, 0)],
  "ArrowUp": [t("label.key_up_down"), (event) => arrow(event, 0, -1)],
  "ArrowDown": [t("label.key_up_down"), (event) => arrow(event, 0, 1)],
  "Escape": [t("boxes.key_leave"), () => { canvas.leave(); byId("main").focus(); }],
  "j": [t("label.next"), () => nextOpen(1)],
  "k": [t("label.previous"), () => nextOpen(-1)],
  "m": [t("label.map"), toggleMap],
  "g": [t("label.many"), () => { location.href = "/grid"; }],
});

addEventListener("resize", () => { if (item) draw(); });
tellProgress();
const asked = /^#\d+$/.test(location.hash) ? Number(location.hash.slice(1)) : setup.start;
show(asked);
