// Writing a message: people are offered as one types, files show how far they are, and the
// reader's own zone is meant by "later".
"use strict";

(() => {
  const find = (selector) => document.querySelector(selector);

  const prepare = () => {
    for (const input of document.querySelectorAll("[data-suggest]:not([role])")) {
      input.setAttribute("role", "combobox");
      input.setAttribute("aria-autocomplete", "list");
      input.setAttribute("aria-expanded", "false");
    }
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const field = find('#compose input[name="zone"]');
    if (zone && field) {
      field.value = zone;
      find("#zone-words").textContent = zone.replaceAll("_", " ");
    }
  };

  // The piece behind the last comma that stands in no quotes.
  const unfinished = (text) => {
    let start = 0;
    let quoted = false;
    [...text].forEach((character, position) => {
      if (character === '"') {
        quoted = !quoted;
      } else if (character === "," && !quoted) {
        start = position + 1;
      }
    });
    return [text.slice(0, start), text.slice(start).trim()];
  };

  let asked = 0;
  let waiting = 0;

  const listOf = (input) => input.parentElement.querySelector(".suggestions");

  const close = (input) => {
    asked += 1;
    listOf(input)?.remove();
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };

  const take = (input, option) => {
    const [before] = unfinished(input.value);
    input.value = `${before}${before ? " " : ""}${option.dataset.typed}, `;
    close(input);
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };

  const offer = async (input) => {
    const mine = ++asked;
    const [, typed] = unfinished(input.value);
    if (!typed) {
      close(input);
      return;
    }
    const address = `${find("#compose").dataset.people}?q=${encodeURIComponent(typed)}`;
    let html = "";
    try {
      const answer = await fetch(address);
      html = answer.ok && !answer.redirected ? (await answer.text()).trim() : "";
    } catch {
      return;
    }
    if (mine !== asked || document.activeElement !== input) {
      return;
    }
    close(input);
    if (html) {
      const list = document.createElement("ul");
      list.className = "suggestions";
      list.id = `${input.id}-people`;
      list.setAttribute("role", "listbox");
      list.setAttribute("aria-label", "People written to before");
      list.innerHTML = html;
      input.parentElement.append(list);
      input.setAttribute("aria-expanded", "true");
      input.setAttribute("aria-controls", list.id);
    }
  };

  const move = (input, distance) => {
    const options = [...listOf(input).children];
    const position = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
    const next = options[(position + distance + options.length) % options.length] || options[0];
    for (const option of options) {
      option.setAttribute("aria-selected", String(option === next));
    }
    input.setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("input", (event) => {
    if (event.target.matches?.("[data-suggest]") && event.isTrusted) {
      clearTimeout(waiting);
      waiting = setTimeout(() => offer(event.target), 150);
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.closest("#compose")) {
      event.preventDefault();
      find('#compose button[value="send"]').click();
      return;
    }
    const input = event.target;
    if (!input.matches?.("[data-suggest]") || !listOf(input)) {
      return;
    }
    const chosen = listOf(input).querySelector('[aria-selected="true"]');
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(input, event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Escape") {
      close(input);
    } else if ((event.key === "Enter" || event.key === "Tab") && chosen) {
      event.preventDefault();
      take(input, chosen);
    }
  });

  // Before the field loses the focus.
  document.addEventListener("mousedown", (event) => {
    const option = event.target.closest?.(".suggestions li");
    if (option) {
      event.preventDefault();
      take(option.closest(".compose-people").querySelector("input"), option);
    }
  });

  document.addEventListener("focusout", (event) => {
    if (event.target.matches?.("[data-suggest]")) {
      close(event.target);
    }
  });

  // Files

  const showUpload = (percent, words) => {
    find("#upload").hidden = percent === null && !words;
    find("#upload progress").hidden = percent === null;
    find("#upload progress").value = percent || 0;
    find("#upload-words").textContent = words;
  };

  document.addEventListener("htmx:confirm", (event) => {
    if (event.detail.elt.id !== "new-files") {
      return;
    }
    const size = [...event.detail.elt.files].reduce((sum, file) => sum + file.size, 0);
    const limit = Number(find("#compose").dataset.limit);
    if (size > limit) {
      event.preventDefault();
      event.detail.elt.value = "";
      showUpload(null, `A message may have ${Math.floor(limit / 1024 / 1024)} MB. These files are larger.`);
    }
  });

  document.addEventListener("htmx:xhr:progress", (event) => {
    if (event.target.id === "new-files" && event.detail.lengthComputable) {
      const percent = Math.round((100 * event.detail.loaded) / event.detail.total);
      showUpload(percent, percent < 100 ? `${percent} %` : "Saving the files…");
    }
  });

  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.elt.id === "new-files") {
      const words = event.detail.successful ? "" : "The files could not be uploaded. Choose them again.";
      showUpload(null, words);
    }
  });

  document.addEventListener("htmx:afterSettle", prepare);
  document.addEventListener("DOMContentLoaded", prepare);
})();
