// Shows times in the reader's zone, says aloud how a running job goes, and keeps what is chosen.
"use strict";

(() => {
  document.documentElement.classList.add("scripted");

  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" });
  const clock = new Intl.DateTimeFormat(undefined, {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
  });

  const showLocalTimes = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      if (!Number.isNaN(moment.getTime())) {
        element.title = exact.format(moment);
        if ("clock" in element.dataset) {
          element.textContent = clock.format(moment);
        }
      }
    }
  };

  // A live region is read out when its text changes, so it is only touched when it does.
  const announce = () => {
    const region = document.getElementById("announcement");
    const source = document.querySelector("[data-announcement]");
    if (region && source && region.textContent !== source.dataset.announcement) {
      region.textContent = source.dataset.announcement;
    }
  };

  // What is shown may be old while the server does not answer; htmx goes on asking.
  const showWhetherOffline = (isOffline) => {
    const note = document.getElementById("offline");
    if (note && note.hidden === isOffline) {
      note.hidden = !isOffline;
    }
  };

  // Rows that are chosen to do something with: how many, all of them, and the same ones still
  // where a list exchanges itself for a newer one.
  const boxes = (root) => [...root.querySelectorAll('input[type="checkbox"][name="ids"]')];

  const countChosen = () => {
    for (const words of document.querySelectorAll("[data-chosen]")) {
      const form = words.closest("form");
      words.textContent = `${boxes(form).filter((box) => box.checked).length} chosen`;
    }
  };

  let kept = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.requestConfig?.elt === event.detail.target) {
      const chosen = boxes(event.detail.target).filter((box) => box.checked);
      kept = chosen.length ? new Set(chosen.map((box) => box.id)) : kept;
    }
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const id of kept || []) {
      const box = document.getElementById(id);
      if (box) {
        box.checked = true;
      }
    }
    kept = null;
    countChosen();
  });
  document.addEventListener("change", (event) => {
    if (event.target.name === "ids") {
      countChosen();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.matches?.("[data-choose-all]")) {
      for (const box of boxes(event.target.closest("form"))) {
        box.checked = true;
      }
      countChosen();
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    showLocalTimes(document);
    announce();
    countChosen();
  });
  document.addEventListener("htmx:sendError", () => showWhetherOffline(true));
  document.addEventListener("htmx:timeout", () => showWhetherOffline(true));
  // Without a status it was aborted, by leaving the page for example, or it is told above.
  document.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr.status;
    if (status !== 0) {
      showWhetherOffline(status >= 500);
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    showLocalTimes(event.target.parentElement || document);
    announce();
  });
})();
