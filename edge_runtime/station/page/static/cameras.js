// The forms of the page of cameras: sent with the session's token, then the page shows what holds now.

import { complain, post, toast } from "./base.js";

const SAID = "said";

/** Show the page anew, with what was said, and the focus on the same camera. */
function again(said, place) {
  sessionStorage.setItem(SAID, JSON.stringify({ ...said, place }));
  location.reload();
}

for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const said = await post(form.getAttribute("action"), Object.fromEntries(new FormData(form)));
      again(said, form.closest("section").getAttribute("aria-labelledby"));
    } catch (error) { complain(error); }
  });
}

const said = JSON.parse(sessionStorage.getItem(SAID) || "null");
if (said) {
  sessionStorage.removeItem(SAID);
  const undo = async () => {
    try {
      again(await post(said.undo), said.place);
    } catch (error) { complain(error); }
  };
  document.querySelector(`section[aria-labelledby="${said.place}"] button`)?.focus({ preventScroll: true });
  toast(said.message, { state: "ok", undo: said.undo ? undo : null });
}
