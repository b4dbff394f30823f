// Boxes on a picture, drawn, moved and resized by mouse, touch and keys. A page that uses this has the texts "boxes".
// A box is [x, y, width, height] in pixels of the picture, on which the <svg> lies.

import { announce, t } from "./base.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 4;  // pixels of a side
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const between = (x1, y1, x2, y2) => [Math.min(x1, x2), Math.min(y1, y2), Math.abs(x2 - x1), Math.abs(y2 - y1)];
const whole = ([x, y, width, height]) => ({ x: Math.round(x), y: Math.round(y), width: Math.round(width), height: Math.round(height) });

function part(name, attributes, parent) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  parent.append(found);
  return found;
}

export class Boxes {
  /**
   * `changed()` is called after each drawing, `began()` before a new box is made. Without `fingers` a finger moves the
   * boxes that are there and scrolls the page elsewhere; without `free` nothing can be changed.
   */
  constructor(svg, { changed = () => {}, began = () => {}, fingers = true, free = true } = {}) {
    Object.assign(this, { svg, changed, began, fingers, free, boxes: [], selected: -1, proposal: null, width: 0, height: 0, drag: null });
    if (!free) return;
    svg.addEventListener("pointerdown", (event) => this.#pressed(event));
    svg.addEventListener("pointermove", (event) => this.#moved(event));
    svg.addEventListener("pointerup", () => this.#released());
    svg.addEventListener("pointercancel", () => this.#released());
  }

  /** Begin with a picture of this size (0: none can be shown) and copies of its boxes. */
  begin(width, height, boxes) {
    Object.assign(this, { width, height, boxes: boxes.map((box) => [...box]), drag: null });
    this.selected = boxes.length && this.free ? 0 : -1;
    if (width) this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.draw();
  }

  /** Take these boxes in the place of all. */
  replace(boxes) {
    this.boxes = boxes.map((box) => [...box]);
    this.selected = this.boxes.length ? 0 : -1;
  }

  draw() {
    const hadFocus = this.focused;
    this.svg.replaceChildren();
    if (this.proposal) {
      const [x, y, width, height] = this.proposal;
      part("rect", { class: "proposal", x, y, width, height }, this.svg);
    }
    this.boxes.forEach((box, at) => this.#drawBox(box, at));
    if (hadFocus && this.selected >= 0) this.#element(this.selected).focus();
    this.changed();
  }

  /** Whether keys mean a box. */
  get focused() { return this.svg.contains(document.activeElement); }

  /** Size and place of the selected box in words. */
  get measures() { return this.selected >= 0 ? t("boxes.measures", whole(this.boxes[this.selected])) : ""; }

  /** The last of them is selected. */
  add(box) {
    this.boxes.push([...box]);
    this.select(this.boxes.length - 1);
  }

  /** A new box in the middle, for the keys. */
  addInTheMiddle() {
    if (!this.width) return;
    this.began();
    const width = this.width / 6, height = this.height / 6;
    this.add([(this.width - width) / 2, (this.height - height) / 2, width, height]);
  }

  remove() {
    if (this.selected < 0) return;
    this.boxes.splice(this.selected, 1);
    this.select(Math.min(this.selected, this.boxes.length - 1));
    announce(t("boxes.removed"));
  }

  select(at) {
    this.selected = at;
    this.draw();
    if (at >= 0) this.#element(at).focus();
  }

  /** Leave the boxes, so that keys mean the page again. */
  leave() {
    document.activeElement.blur?.();
    this.select(-1);
  }

  /** Move the box in focus by an arrow key, with Shift change its size; false where no box has the focus. */
  arrow(event, across, down) {
    if (this.selected < 0 || !this.focused) return false;
    const step = Math.max(1, Math.round(Math.max(this.width, this.height) / 100)), [x, y, width, height] = this.boxes[this.selected];
    this.boxes[this.selected] = event.shiftKey
      ? [x, y, clamp(width + across * step, LEAST, this.width - x), clamp(height + down * step, LEAST, this.height - y)]
      : [clamp(x + across * step, 0, this.width - width), clamp(y + down * step, 0, this.height - height), width, height];
    this.draw();
    return true;
  }

  #element(at) { return this.svg.querySelector(`[data-at="${at}"]`); }

  #unit() {  // pixels of the picture for one of the screen
    const seen = this.svg.getBoundingClientRect();
    return this.width && seen.width && seen.height ? Math.max(this.width / seen.width, this.height / seen.height) : 1;
  }

  #drawBox([x, y, width, height], at) {
    const own = at === this.selected, words = t("boxes.is", { n: at + 1, ...whole([x, y, width, height]) });
    const group = part("g", { class: "box", role: "img", "data-at": at, "aria-current": String(own), "aria-label": words }, this.svg);
    part("rect", { class: "under", x, y, width, height }, group);
    part("rect", { class: "area", x, y, width, height }, group);
    if (!this.free) return;
    group.setAttribute("tabindex", "0");
    const grip = 5 * this.#unit(), caught = 22 * this.#unit();
    for (const [corner, cx, cy] of [["nw", x, y], ["ne", x + width, y], ["sw", x, y + height], ["se", x + width, y + height]]) {
      part("rect", { class: "grip", x: cx - grip, y: cy - grip, width: 2 * grip, height: 2 * grip }, group);
      part("rect", { class: `catch ${corner}`, "data-corner": corner, x: cx - caught / 2, y: cy - caught / 2, width: caught, height: caught }, group);
    }
    group.addEventListener("focus", () => { if (this.selected !== at) { this.selected = at; this.draw(); this.#element(at).focus(); } });
  }

  #place(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return [clamp(point.x, 0, this.width), clamp(point.y, 0, this.height)];
  }

  #pressed(event) {
    if (!this.width || event.button > 0 || this.drag) return;
    const group = event.shiftKey ? null : event.target.closest(".box");  // with Shift a new one inside another
    if (!group && !this.fingers && event.pointerType === "touch") return;
    event.preventDefault();
    const from = this.#place(event);
    if (group) {
      this.selected = Number(group.dataset.at);
      this.drag = { kind: event.target.dataset.corner ?? "move", at: this.selected, from, box: [...this.boxes[this.selected]] };
      this.draw();
      this.#element(this.selected).focus();
    } else {
      this.drag = { kind: "new", at: this.boxes.length, from, box: [from[0], from[1], 0, 0] };
    }
    this.svg.setPointerCapture(event.pointerId);
  }

  #moved(event) {
    if (!this.drag) return;
    const { kind, at, from: [fx, fy], box: [bx, by, bw, bh] } = this.drag, [x, y] = this.#place(event);
    if (kind === "new") {
      if (this.boxes.length === at && Math.hypot(x - fx, y - fy) < LEAST * this.#unit()) return;
      if (this.boxes.length === at) this.began();
      this.boxes[at] = between(fx, fy, x, y);
      this.selected = at;
    } else if (kind === "move") {
      this.boxes[at] = [clamp(bx + x - fx, 0, this.width - bw), clamp(by + y - fy, 0, this.height - bh), bw, bh];
    } else {
      this.boxes[at] = between(kind.endsWith("w") ? bx + bw : bx, kind.startsWith("n") ? by + bh : by, x, y);
    }
    this.draw();
  }

  #released() {
    if (!this.drag) return;
    const { kind, at, box } = this.drag, made = this.boxes[at];
    if (made && Math.min(made[2], made[3]) < LEAST) {  // a click, not a box
      if (kind === "new") { this.boxes.splice(at, 1); this.selected = this.boxes.length - 1; } else this.boxes[at] = box;
    }
    if (!made && kind === "new") this.selected = -1;
    this.drag = null;
    this.draw();
  }
}
