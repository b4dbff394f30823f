// Live tiles: words and pictures follow the stream; what is not live is grey at once.

import { announce, headState, keys, stream, t } from "./base.js";

const part = (tile, name) => tile.querySelector(`[data-${name}]`);
const button = document.getElementById("map");
let map = false;
const LATE = 5000;  // milliseconds in which a picture has to come

/** Show a picture, or hide it where `number` is 0: an old one never poses as live. */
function picture(tile, slot, number) {
  const image = part(tile, "picture");
  image.hidden = !number;
  if (number) image.dataset.asked ||= performance.now();
  else delete image.dataset.asked;
  if (number) image.src = `/live/${slot}.jpg?n=${number}${map ? "&map=1" : ""}`;
  else image.removeAttribute("src");
  part(tile, "dark").hidden = Boolean(number);
  part(tile, "taken").hidden = !number;
  part(tile, "chance").hidden = !number;
}

function update(value) {
  const tile = document.querySelector(`[data-slot="${value.slot}"]`);
  if (!tile) return;
  const turned = tile.dataset.state !== value.state;
  tile.dataset.state = value.state;
  const pill = tile.querySelector(".pill");
  pill.textContent = value.short;
  pill.dataset.state = value.state;
  part(tile, "words").textContent = value.words;
  part(tile, "detail").textContent = value.detail;
  part(tile, "taken").textContent = value.taken;
  part(tile, "label").textContent = value.label;
  part(tile, "percent").textContent = value.chance;
  const bar = tile.querySelector(".meter");
  bar.dataset.state = value.state;
  bar.querySelector(".fill").setAttribute("width", value.share * 100);
  bar.querySelector(".mark").setAttribute("x", value.threshold * 100 - 0.4);
  if (String(value.number) !== tile.dataset.number) {
    tile.dataset.number = value.number;
    picture(tile, value.slot, value.number);
  }
  if (turned && (value.state === "bad" || value.state === "off")) announce(`${value.camera} ${value.region}: ${value.words || value.short}`);
}

/** What is wrong, in a line: each part leads to its first tile. */
function summary(parts) {
  const line = document.getElementById("now"), text = JSON.stringify(parts);
  if (line.dataset.shown === text) return;
  line.dataset.shown = text;
  line.replaceChildren(...parts.map(({ state, words, slot }) => {
    const link = document.createElement("a");
    link.className = "pill";
    link.dataset.state = state;
    link.href = `#view-${slot}`;
    link.textContent = words;
    return link;
  }));
}

async function alarms(newest) {
  const list = document.getElementById("alarms");
  if (list.dataset.newest === String(newest)) return;
  list.dataset.newest = newest;
  const answer = await fetch("/live/alarms");
  if (answer.ok) list.innerHTML = await answer.text();  // escaped where it was made
}

function lost() {
  summary([{ state: "bad", words: t("live.connection"), slot: 0 }]);
  for (const tile of document.querySelectorAll("[data-slot]")) {
    update({
      slot: tile.dataset.slot, camera: "", region: "", state: "off", short: t("live.off"), words: t("live.connection"), detail: "", number: 0,
      taken: "", label: "", share: 0, threshold: 0, chance: "",
    });
  }
}

stream("/live/stream", (value) => {
  value.tiles.forEach(update);
  summary(value.now);
  headState(value.state, value.words);
  alarms(value.newest);
}, lost);

for (const image of document.querySelectorAll("[data-picture]")) {
  image.addEventListener("error", () => { image.hidden = true; });
  image.addEventListener("load", () => { image.hidden = !image.getAttribute("src"); delete image.dataset.asked; });
}

// The words may come and the picture not: then the one before does not stay under the time of the new one.
setInterval(() => {
  for (const image of document.querySelectorAll("[data-asked]")) if (performance.now() - image.dataset.asked > LATE) image.hidden = true;
}, 1000);

function toggle() {
  map = !map;
  button.setAttribute("aria-pressed", map);
  for (const tile of document.querySelectorAll("[data-slot]")) picture(tile, tile.dataset.slot, Number(tile.dataset.number));
}
if (button) {
  button.addEventListener("click", toggle);
  keys({ m: [t("live.key_map"), toggle] });
}
keys({ f: [t("live.key_full"), () => (document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen())] });
keys({ e: [t("live.key_events"), () => { location.href = "/events?judged=open"; }] });
