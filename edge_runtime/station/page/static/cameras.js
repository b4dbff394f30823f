// The forms of the page of cameras: sent with the session's token, then the page shows what holds now.

import { complain, post, toast } from "./base.js";

const SAID = "said";

for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const said = await post(form.getAttribute("action"), Object.fromEntries(new FormData(form)));
      sessionStorage.setItem(SAID, JSON.stringify(said));
      location.reload();
    } catch (error) { complain(error); }
  });
}

const said = JSON.parse(sessionStorage.getItem(SAID) || "null");
if (said) {
  sessionStorage.removeItem(SAID);
  const undo = async () => {
    try {
      sessionStorage.setItem(SAID, JSON.stringify(await post(said.undo)));
      location.reload();
    } catch (error) { complain(error); }
  };
  toast(said.message, { state: "ok", undo: said.undo ? undo : null });
}
