// Shows what is written as its readers will see it, inserts variables, and attaches files at once.
"use strict";

(() => {
  const form = document.getElementById("composer");
  const show = document.getElementById("show");
  const frame = document.getElementById("preview");
  if (!form || !show || !frame) {
    return;
  }
  const WAIT = 700;
  let timer = 0;
  // An empty frame is loaded, too, and a load may be cut off by the next one.
  let isAsked = false;
  let lastText = document.getElementById("html_body");

  const refresh = () => {
    const files = form.elements.files;
    files.disabled = true;
    form.requestSubmit(show);
    files.disabled = false;
    isAsked = true;
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(refresh, WAIT);
  };

  frame.addEventListener("load", () => {
    const checks = document.getElementById("checks");
    if (checks && isAsked) {
      window.htmx.trigger(checks, "refresh");
    }
  });

  form.addEventListener("input", (event) => {
    if (event.target.name !== "files" && event.target.name !== "test_to") {
      soon();
    }
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "view") {
      frame.classList.toggle("is-phone", event.target.value === "phone");
    }
    if (event.target.name === "files" && event.target.files.length) {
      clearTimeout(timer);
      form.requestSubmit(form.querySelector("button[value=save]"));
    }
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter !== show) {
      clearTimeout(timer);
    }
  });
  form.addEventListener("focusin", (event) => {
    if (["subject", "html_body", "text_body"].includes(event.target.id)) {
      lastText = event.target;
    }
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    if (button && lastText) {
      lastText.setRangeText(`{{ ${button.dataset.insert} }}`,
        lastText.selectionStart, lastText.selectionEnd, "end");
      lastText.focus();
      soon();
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    const zone = form.querySelector("[data-zone]");
    if (zone && zone.value === "UTC" && !form.elements.scheduled_at.value) {
      zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    }
    refresh();
  });
})();
