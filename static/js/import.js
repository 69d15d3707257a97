// Shows what an import would make of a file, from its beginning, before it is uploaded.
"use strict";

(() => {
  const BEGINNING = 256 * 1024;
  // A workbook says at its end where its parts are, so it is shown whole or not at all.
  const LARGEST_WORKBOOK = 10 * 1024 * 1024;

  document.addEventListener("DOMContentLoaded", () => {
    const form = document.getElementById("import-form");
    const input = document.getElementById("file");
    const preview = document.getElementById("preview");
    let newest = 0;

    const show = async () => {
      const file = input.files[0];
      const mine = ++newest;
      preview.replaceChildren();
      if (!file) {
        return;
      }
      document.getElementById("problem")?.remove();
      const limit = Number(form.dataset.limit);
      input.setCustomValidity("");
      if (file.size > limit) {
        const words = `The file is larger than ${Math.floor(limit / 1024 / 1024)} MB. Split it first.`;
        input.setCustomValidity(words);
        preview.textContent = words;
        return;
      }
      const isWorkbook = /\.xlsx$/i.test(file.name);
      if (isWorkbook && file.size > LARGEST_WORKBOOK) {
        preview.textContent = "This workbook is too large to show its columns beforehand.";
        return;
      }
      const body = new FormData();
      body.append("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
      body.append("file", isWorkbook ? file : file.slice(0, BEGINNING), file.name);
      let words = "The columns could not be shown. The import can be started all the same.";
      try {
        const answer = await fetch(form.dataset.preview, { method: "POST", body });
        const html = await answer.text();
        if (mine !== newest) {
          return;
        }
        if (answer.ok && !answer.redirected) {
          preview.innerHTML = html;
          return;
        }
      } catch {
        words = "The server could not be reached, so the columns are not shown.";
      }
      preview.textContent = words;
    };

    input.addEventListener("change", show);
    show();

    form.addEventListener("submit", () => {
      const button = document.getElementById("start");
      button.disabled = true;
      button.textContent = "Uploading…";
    });
    // Coming back by the browser's history shows the form as it was left.
    window.addEventListener("pageshow", () => {
      const button = document.getElementById("start");
      button.disabled = false;
      button.textContent = "Start the import";
    });
  });
})();
