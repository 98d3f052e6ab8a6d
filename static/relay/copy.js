"use strict";
// Buttons with data-copy="#id" copy the text of that element and say so.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  const words = button.lastElementChild;
  const before = words.textContent;
  try {
    await navigator.clipboard.writeText(source.textContent);
    words.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(source);
    words.textContent = "Selected: press Ctrl-C";
  }
  setTimeout(() => { words.textContent = before; }, 2000);
});
