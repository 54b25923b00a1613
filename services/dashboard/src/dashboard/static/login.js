// A one-time link carries its token behind the #, which browsers send to nobody. This takes it out
// of the address, and a person's click sends it: programs that merely follow links use nothing up.
"use strict";
(() => {
  const take = () => {
    const token = location.hash.slice(1);
    const form = document.getElementById("link-form");
    if (!/^[A-Za-z0-9_-]{43}$/.test(token) || !form) return;
    history.replaceState(null, "", location.pathname + location.search);
    form.elements.token.value = token;
    form.hidden = false;
    for (const other of document.querySelectorAll("#password-form, #login-problem, .door-help")) {
      other.hidden = true;
    }
    form.querySelector("button").focus();
  };
  take();
  addEventListener("hashchange", take);
})();
