// Shows times in the reader's zone, and says aloud how a running job goes.
"use strict";

(() => {
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "long" });

  const showLocalTimes = (root) => {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(element.dateTime);
      if (!Number.isNaN(moment.getTime())) {
        element.title = exact.format(moment);
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

  document.addEventListener("DOMContentLoaded", () => {
    showLocalTimes(document);
    announce();
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    const status = event.detail.xhr.status;
    showWhetherOffline(status === 0 || status >= 500);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    showLocalTimes(event.target.parentElement || document);
    announce();
  });
})();
