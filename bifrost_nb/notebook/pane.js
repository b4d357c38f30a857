// The live pane: one column per call, filled from numbered frames, until the static answer replaces it.
//
// Model text is hostile: it only ever becomes a text node. Nothing here parses markup, and nothing is loaded.
//
// From Python, as custom messages (see pane.py):
//   {n, at, t: [[column, text], ...], f: {column: {fact: words}}, s: summary}  frame n: new text and changed facts
//   {n, at, w: [text, ...], f: {...}, s}                                       the same, with the whole text of each column
// To Python: {stop: column | "all"} and {whole: true} after a frame was lost or came before this page did.

const SILENCE_MS = 3000; // a clock that hears nothing for so long stands still: the kernel may be gone
const BLOCK = 4000; // characters in one text block before a new one is begun at a line end: only the last is laid out again
const SENTENCE = /[.!?:;\u3002\uff01\uff1f]["'\u2019\u201d)\]]*\s|\n/g;
const MIN_COLUMN_PX = 250;
const HEARD_MS = 60000; // what was said stays for a screen reader that is still busy with earlier words
const HIDDEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap";

// Says things to a screen reader. It stands beside the pane, which is taken away in the moment in which its end is said,
// and each saying is an element of its own, so that two in one moment are both heard.
function makeSpeaker() {
  const root = document.createElement("div");
  root.className = "bifrost-speaker";
  root.style.cssText = HIDDEN; // the style sheet may be gone before it
  root.setAttribute("aria-live", "polite");
  document.body.append(root);
  return {
    say(words) {
      const saying = document.createElement("p");
      saying.textContent = words.trim();
      root.append(saying);
      while (root.childElementCount > 20) root.firstChild.remove();
    },
    leave() { setTimeout(() => root.remove(), HEARD_MS); },
  };
}

export default () => {
  const columns = []; // {facts, parts: [text]}
  const views = new Set();
  let expected = 0;
  let asked = false; // for the whole text
  let clock = { at: 0, heard: performance.now() };
  let summary = "";

  const seconds = (value) =>
    value < 60 ? value.toFixed(1) + " s"
    : Math.floor(value / 60) + ":" + String(Math.floor(value % 60)).padStart(2, "0") + " min";

  const running = (facts) => facts.state === "waiting" || facts.state === "answering";

  const now = () => clock.at + Math.min(performance.now() - clock.heard, SILENCE_MS) / 1000;

  function receive(frame, model) {
    if (frame.w === undefined && frame.n !== expected) {
      if (!asked) { asked = true; model.send({ whole: true }); }
      return;
    }
    expected = frame.n + 1;
    clock = { at: frame.at, heard: performance.now() };
    if (frame.w !== undefined) {
      asked = false;
      frame.w.forEach((text, i) => { columns[i].parts = [text]; });
      views.forEach((view) => view.reset());
    }
    for (const [i, text] of frame.t || []) {
      columns[i].parts.push(text);
      views.forEach((view) => view.text(i, text));
    }
    for (const [i, facts] of Object.entries(frame.f || {})) {
      Object.assign(columns[i].facts, facts);
      views.forEach((view) => view.facts(Number(i)));
    }
    if (frame.s !== undefined) summary = frame.s;
    views.forEach((view) => view.head());
  }

  function make(tag, name, parent, text) {
    const node = document.createElement(tag);
    node.className = "bifrost-" + name;
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  }

  function button(parent, label, name, press) {
    const node = make("button", "stop", parent, label);
    node.type = "button";
    node.setAttribute("aria-label", name);
    node.addEventListener("click", () => { node.disabled = true; node.textContent = "Stopping\u2026"; press(); });
    return node;
  }

  // One column on the page. `several`: it is one of many, so it carries its own Stop and speaks only its end.
  function columnView(model, i, several, parent, speak) {
    const root = make("section", "column", parent);
    root.setAttribute("aria-label", "Answer of " + columns[i].facts.asked);
    const head = make("header", "head", root);
    const title = make("div", "title", head);
    const name = make("strong", "name", title);
    const served = make("div", "served", title);
    const act = make("div", "act", head);
    const stop = several
      ? button(act, "Stop", "Stop " + columns[i].facts.asked, () => model.send({ stop: i }))
      : button(act, "Cancel", "Cancel", () => model.send({ stop: i }));
    const line = make("div", "facts", root);
    const dot = make("span", "dot", line);
    dot.setAttribute("aria-hidden", "true");
    const slots = {};
    for (const fact of ["state", "time", "speed", "cost"]) slots[fact] = make("span", "fact bifrost-" + fact, line);
    const note = make("div", "note", root);
    const body = make("div", "text", root);
    body.tabIndex = 0; // so that the keyboard can scroll it
    body.setAttribute("role", "group");
    body.setAttribute("aria-label", "Text of " + columns[i].facts.asked);
    let block = null;
    let size = 0;
    let pending = "";
    let heard = "";
    let said = "";

    function append(text) {
      while (text) {
        if (block === null || size >= BLOCK) {
          const cut = block === null ? 0 : text.indexOf("\n") + 1;
          if (block !== null && cut === 0) { block.appendData(text); size += text.length; return; }
          if (cut > 1) block.appendData(text.slice(0, cut - 1)); // the new block is a new line of its own
          text = text.slice(cut);
          const node = make("div", "block", body);
          node.dir = "auto";
          block = document.createTextNode("");
          node.append(block);
          size = 0;
        }
        const piece = text.slice(0, Math.max(BLOCK - size, 1));
        block.appendData(piece);
        size += piece.length;
        text = text.slice(piece.length);
      }
    }

    function listen(text) {
      if (several) return;
      heard += text;
      let end = 0;
      for (const match of heard.matchAll(SENTENCE)) end = match.index + match[0].length;
      if (end) { speak(heard.slice(0, end).trim()); heard = heard.slice(end); }
    }

    return {
      text(text) { pending += text; listen(text); },
      reset() { body.replaceChildren(); block = null; size = 0; pending = columns[i].parts.join(""); },
      // Reading the layout and writing to it are separate steps, so that eight columns cost one layout, not eight.
      measure() { return pending && body.scrollHeight - body.scrollTop - body.clientHeight < 24; },
      flush() { if (pending) { append(pending); pending = ""; } },
      follow() { body.scrollTop = body.scrollHeight; },
      facts() {
        const facts = columns[i].facts;
        name.textContent = facts.asked;
        served.textContent = facts.served || "\u00a0";
        note.textContent = facts.note || "";
        note.hidden = !facts.note;
        for (const fact of Object.keys(slots)) slots[fact].textContent = facts[fact] || "";
        root.dataset.state = facts.state;
        stop.hidden = !running(facts);
        root.setAttribute("aria-busy", String(running(facts)));
        if (!running(facts) && said !== facts.state) {
          said = facts.state;
          speak(heard + " " + facts.asked + " " + facts.state + ", " + facts.time);
          heard = "";
        }
      },
      tick() {
        const facts = columns[i].facts;
        if (running(facts)) slots.time.textContent = seconds(now());
      },
    };
  }

  return {
    initialize({ model }) {
      for (const facts of model.get("columns")) columns.push({ facts: { ...facts }, parts: [] });
      const listener = (message) => receive(message, model);
      model.on("msg:custom", listener);
      return () => model.off("msg:custom", listener);
    },

    render({ model, el }) {
      const several = columns.length > 1;
      const root = make("div", several ? "live bifrost-several" : "live", el);
      root.setAttribute("role", "region");
      root.setAttribute("aria-label", model.get("title") || "Bifrost answer, live");
      const bar = make("div", "bar", root);
      if (model.get("title")) make("strong", "heading", bar, model.get("title"));
      const count = make("span", "summary", bar);
      const hint = make("span", "hint", null, "or press \u25a0 (interrupt)");
      const all = several ? button(bar, "Stop all", "Stop all", () => model.send({ stop: "all" })) : null;
      if (several) bar.append(hint);
      bar.hidden = !several && !model.get("title");
      const grid = make("div", "grid", root);
      const speaker = makeSpeaker();
      const parts = columns.map((_, i) => columnView(model, i, several, grid, speaker.say));
      if (!several) grid.querySelector(".bifrost-act").append(hint);
      let frame = null;
      let timer = null;

      const draw = () => {
        frame = null;
        const follow = parts.map((part) => part.measure());
        parts.forEach((part) => part.flush());
        parts.forEach((part, i) => follow[i] && part.follow());
      };
      const schedule = () => { if (frame === null) frame = requestAnimationFrame(draw); };
      const view = {
        text(i, text) { parts[i].text(text); schedule(); },
        reset() { parts.forEach((part) => part.reset()); schedule(); },
        facts(i) { parts[i].facts(); },
        head() {
          count.textContent = several ? summary : "";
          const busy = columns.some((column) => running(column.facts));
          hint.hidden = !busy;
          if (all) all.hidden = !busy;
        },
      };
      // Rows of equal length: 8 columns in a wide cell are 4 + 4, 5 are 3 + 2, on a narrow screen one below the other.
      const fit = new ResizeObserver(([entry]) => {
        const room = Math.max(1, Math.floor(entry.contentRect.width / MIN_COLUMN_PX));
        const rows = Math.ceil(columns.length / room);
        grid.style.setProperty("--bifrost-columns", Math.ceil(columns.length / rows));
      });
      fit.observe(root);
      parts.forEach((part) => { part.reset(); part.facts(); });
      view.head();
      schedule();
      views.add(view);
      timer = setInterval(() => parts.forEach((part) => part.tick()), 100);
      return () => {
        views.delete(view);
        clearInterval(timer);
        fit.disconnect();
        speaker.leave();
        if (frame !== null) cancelAnimationFrame(frame);
      };
    },
  };
};
