// The code of a one-time link stands behind the `#`, where no server sees it. It goes into the form, and out of the
// address and the history; a person presses the button.
"use strict";
const take = () => {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return;
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("code").value = code;
  document.getElementById("by-hand").hidden = true;
  document.getElementById("how").hidden = true;
  document.getElementById("ready").hidden = false;
  document.getElementById("by-link").open = true;
  document.querySelector("#by-link button").focus();
};
take();
// A link that is opened where this page is already does not load it again.
addEventListener("hashchange", take);
