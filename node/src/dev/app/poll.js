// Draws the cluster again each second. Without it the page reloads itself.
"use strict";
const box = document.getElementById("cluster");
let shown = "";

async function poll() {
  try {
    const answer = await fetch(box.dataset.source, { cache: "no-store" });
    const drawn = answer.ok ? await answer.text() : shown;
    if (drawn !== shown) {
      const focused = box.contains(document.activeElement) ? document.activeElement.id : "";
      box.innerHTML = drawn;
      shown = drawn;
      if (focused) document.getElementById(focused)?.focus();
    }
    box.classList.remove("lost");
  } catch {
    box.classList.add("lost");
  }
  setTimeout(poll, 1000);
}

if (box) poll();
