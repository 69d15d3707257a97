// Mail by the keys, in the reader's zone; the focus stays where it was while new mail comes in.
"use strict";

(() => {
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });

  const sayShortly = (moment) => {
    const now = new Date();
    if (moment.toDateString() === now.toDateString()) {
      return clock.format(moment);
    }
    return (moment.getFullYear() === now.getFullYear() ? day : date).format(moment);
  };

  const showTimes = (root) => {
    for (const element of root.querySelectorAll("time[data-short], time[data-exact]")) {
      const moment = new Date(element.dateTime);
      if (!Number.isNaN(moment.getTime())) {
        const words = "short" in element.dataset ? sayShortly(moment) : exact.format(moment);
        if (element.textContent !== words) {
          element.textContent = words;
        }
      }
    }
  };

  const find = (selector) => document.querySelector(selector);
  const lines = () => [...document.querySelectorAll(".lines .line")];
  const openId = () => find(".conversation")?.dataset.open;
  const chosen = () => [...document.querySelectorAll('#batch input[name="ids"]:checked')];

  const markOpenLine = () => {
    for (const line of lines()) {
      const isOpen = line.dataset.id === openId();
      line.classList.toggle("line-open", isOpen);
      const link = line.querySelector(".line-link");
      if (isOpen) {
        link.setAttribute("aria-current", "true");
      } else {
        link.removeAttribute("aria-current");
      }
    }
  };

  // Where the keys are: the line that has the focus, else the one that is open.
  let lastLine = "";
  const currentLine = () =>
    document.activeElement?.closest(".line") || find(`#line-${openId() || lastLine || "none"}`);

  const goTo = (line) => {
    line?.querySelector(".line-link").focus();
    line?.scrollIntoView({ block: "nearest" });
  };

  const step = (distance) => {
    const all = lines();
    const position = all.indexOf(currentLine());
    goTo(position < 0 ? all[0] : all[position + distance]);
  };

  const isListShown = () => find("#list")?.offsetParent !== null;

  const goBack = () => {
    const dialog = find("#keys");
    if (dialog?.open) {
      dialog.close();
    } else {
      find("#back")?.click();
    }
  };

  // Press the button that does it: of what is chosen, of the line that has the focus, or of
  // the message that is open.
  const act = (kind) => {
    const line = document.activeElement?.closest(".line");
    const isOnOpenMessage = !line && !chosen().length && openId();
    if (isOnOpenMessage) {
      find(`#actions-${openId()} [data-key="${kind}"]`)?.click();
      return;
    }
    const form = find("#batch");
    if (!chosen().length && line && form) {
      const box = line.querySelector('input[name="ids"]');
      if (box) {
        box.checked = true;
      }
    }
    const some = chosen().map((box) => box.closest(".line"));
    if (!some.length) {
      return;
    }
    const names = {
      flag: some.every((one) => "flagged" in one.dataset) ? ["unflag"] : ["flag"],
      read: some.some((one) => "unread" in one.dataset) ? ["read"] : ["unread"],
      trash: ["trash", "delete"],
    }[kind];
    for (const name of names) {
      form.querySelector(`button[value="${name}"]`)?.click();
    }
  };

  const answer = (kind) => find(`#actions-${openId()} [data-key="${kind}"]`)?.click();

  const choose = () => {
    const box = currentLine()?.querySelector('input[name="ids"]');
    if (box) {
      box.click();
    }
  };

  const KEYS = {
    j: () => step(1),
    k: () => step(-1),
    o: () => currentLine()?.querySelector(".line-link").click(),
    u: goBack,
    Escape: goBack,
    x: choose,
    s: () => act("flag"),
    m: () => act("read"),
    e: () => act("trash"),
    "#": () => act("trash"),
    c: () => find("#compose-link")?.click(),
    r: () => answer("reply"),
    a: () => answer("everyone"),
    f: () => answer("forward"),
    "/": () => find("#q")?.focus(),
    "?": () => find("#keys")?.showModal(),
  };

  const isTyping = (element) =>
    element.matches?.('input:not([type="checkbox"]), textarea, select, [contenteditable]');

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) {
      return;
    }
    if (isTyping(event.target)) {
      if (event.key === "Escape") {
        event.target.blur();
      }
      return;
    }
    const isInList = event.target.closest?.(".line");
    const arrows = isInList ? { ArrowDown: KEYS.j, ArrowUp: KEYS.k } : {};
    const action = KEYS[event.key] || arrows[event.key];
    if (action && (!find("#keys")?.open || event.key === "Escape")) {
      event.preventDefault();
      action();
    }
  });

  // What a person does goes to the server one after the other, each as it was asked for: the
  // answer to one replaces the form that the next was sent from.
  const waiting = [];
  let isChanging = false;
  const sendNext = () => {
    isChanging = false;
    const change = waiting.shift();
    if (change) {
      const form = document.getElementById(change.id);
      const notesAlone = { source: "#mail", target: "#notes", select: "#notes", swap: "outerHTML" };
      const { address, values } = change;
      window.htmx.ajax("POST", address, { ...(form ? { source: form } : notesAlone), values });
    }
  };
  document.addEventListener("htmx:confirm", (event) => {
    const { elt, path, verb, triggeringEvent } = event.detail;
    if (isChanging && verb === "post" && elt instanceof HTMLFormElement) {
      event.preventDefault();
      const values = new FormData(elt, triggeringEvent?.submitter);
      waiting.push({ id: elt.id, address: path, values });
    }
  });
  document.addEventListener("htmx:beforeSend", (event) => {
    if (event.detail.requestConfig.verb === "post") {
      isChanging = true;
      event.detail.xhr.addEventListener("loadend", sendNext);
    }
  });

  // Where the focus is in what a newer list replaces is remembered.
  let keptFocus = [];
  let hasActed = false;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const asker = event.detail.requestConfig?.elt;
    // Nobody waits any more for the answer that what is left now was marked as read.
    if (asker?.id === "mark-read" && !asker.isConnected) {
      event.detail.shouldSwap = false;
      return;
    }
    lastLine = openId() || lastLine;
    const asking = asker?.id;
    if (asking === "batch" || event.detail.target?.id === "reading") {
      hasActed = asking === "batch";
    }
    const focused = document.activeElement?.closest(".line");
    if (focused) {
      const all = lines();
      const following = all[all.indexOf(focused) + 1] || all[all.indexOf(focused) - 1];
      keptFocus = [focused.id, following?.id];
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    showTimes(document);
    if (hasActed && openId() && !find(`#line-${openId()}`)) {
      hasActed = false;
      find("#back").click();
    }
    markOpenLine();
    if (event.target.id === "reading" && !isListShown()) {
      event.target.focus();
      window.scrollTo(0, 0);
    }
    if (event.target.id === "reading" && !openId()) {
      goTo(find(`#line-${lastLine || "none"}`));
    }
    if (document.activeElement === document.body && isListShown()) {
      const id = keptFocus.find((one) => one && document.getElementById(one));
      goTo(id ? document.getElementById(id) : null);
    }
    keptFocus = [];
    showAskedFor();
  });

  // In a long conversation the message that was asked for is brought into sight.
  let shownBefore = "";
  const showAskedFor = () => {
    const id = openId();
    if (id && id !== shownBefore) {
      const message = find(`#message-${id}`);
      if (message?.previousElementSibling?.classList.contains("message")) {
        message.scrollIntoView({ block: "start" });
      }
    }
    shownBefore = id || "";
  };

  // A page that nobody sees asks for nothing.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && ["news", "list"].includes(event.detail.elt.id)) {
      event.preventDefault();
    }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status < 500 && status !== 401 && find("#notes")) {
      const note = document.createElement("p");
      note.className = "note note-bad";
      note.setAttribute("role", "status");
      note.textContent = `This did not work (${status}). Reload the page and try again.`;
      find("#notes").replaceChildren(note);
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    showTimes(document);
    showAskedFor();
  });
})();
