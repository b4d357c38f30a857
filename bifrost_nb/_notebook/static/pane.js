// The live pane: one column per call, filled from numbered frames, until the static answer replaces it.
//
// Model text is hostile: while it comes it only ever becomes a text node, and nothing is loaded. A complete answer is what
// Python has rendered, put in `place` (safe.js).
//
// From Python, as custom messages (see pane.py): {n, begin} with the next bytes of a deflated stream, which holds a line
// of JSON for each message; `begin` starts a new stream. To a page that cannot inflate: {n, begin, frame}. A frame:
//   {at, t: [[column, text], ...], f: {column: {fact: words}}, s: summary, h: [[column, html]]}  what is new
//   {at, w: [text, ...], f, s, h}                                      the same, with the whole text of each column
// To Python: {stop: column | "all"} and {whole: true, plain} after a frame was lost or came before this page did.

const SILENCE_MS = 10_000; // a clock that hears nothing for so long stands still: the kernel may be gone
const TICK_MS = 100;
const LONGEST_MS = 4500; // text is collected no longer than this (HEARTBEAT_S); after more there was silence
const LEAST = 15; // characters drawn in a tick, while there are as many
const BLOCK = 4000; // characters in one text block before a new one is begun at a line end: only the last is laid out again
const SENTENCE = /[.!?:;\u3002\uff01\uff1f]["'\u2019\u201d)\]]*\s|\n/g;
const MIN_COLUMN_PX = 250; // with its gap; the static answer has the same rows (_display/run.py)
const GAP_PX = 8;

export default () => {
  const columns = []; // {facts, parts: [text], html}
  const views = new Set();
  let expected = 0;
  let asked = false; // for the whole text
  let stream = null;
  let clock = { at: 0, heard: performance.now() };
  let summary = "";

  const seconds = (value) =>
    value < 60 ? value.toFixed(1) + " s"
    : Math.floor(value / 60) + ":" + String(Math.floor(value % 60)).padStart(2, "0") + " min";

  const running = (facts) => facts.state === "waiting" || facts.state === "answering";

  const now = () => clock.at + Math.min(performance.now() - clock.heard, SILENCE_MS) / 1000;

  function ask(model) {
    if (asked) return;
    asked = true;
    model.send({ whole: true, plain: typeof DecompressionStream === "undefined" });
  }

  function hear(message, buffers, model) {
    const packed = message.frame === undefined;
    if ((!message.begin && message.n !== expected) || (packed && typeof DecompressionStream === "undefined")) {
      ask(model);
      return;
    }
    expected = message.n + 1;
    if (message.begin) {
      asked = false;
      if (stream) stream.leave();
      stream = packed ? inflate(receive, () => { expected = -1; ask(model); }) : null;
    }
    if (packed) stream.write(buffers[0]);
    else receive(message.frame);
  }

  function receive(frame) {
    clock = { at: frame.at, heard: performance.now() };
    if (frame.w !== undefined) {
      frame.w.forEach((text, i) => { columns[i].parts = [text]; columns[i].html = undefined; });
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
    for (const [i, html] of frame.h || []) {
      columns[i].html = html;
      views.forEach((view) => view.html(i));
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
    let unplaced = false; // the answer is complete, but still shown as it came
    let steps = 1; // in which what is pending is drawn
    let came = -LONGEST_MS; // when there was text
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
      text(text) {
        const collected = performance.now() - came; // and about so long until there is more
        came += collected;
        pending += text;
        steps = collected > LONGEST_MS ? 1 : Math.min(Math.ceil(collected / TICK_MS), Math.ceil(pending.length / LEAST));
        listen(text);
      },
      reset() {
        body.replaceChildren();
        body.classList.remove("bifrost-rendered");
        block = null;
        size = 0;
        unplaced = false;
        pending = columns[i].parts.join("");
        steps = 1;
        if (pending) came = performance.now();
      },
      html() {
        unplaced = columns[i].html !== undefined;
        if (unplaced) pending = "";
      },
      // Puts the complete answer in place of its text. Returns whether there was one.
      render() {
        if (!unplaced) return false;
        unplaced = false;
        block = null;
        body.classList.add("bifrost-rendered");
        place(body, columns[i].html);
        return true;
      },
      // Reading the layout and writing to it are separate steps, so that eight columns cost one layout, not eight.
      measure() { return pending && body.scrollHeight - body.scrollTop - body.clientHeight < 24; },
      // Text that was collected for a while is drawn evenly until there may be more. Returns whether something is left.
      flush() {
        let end = running(columns[i].facts) ? Math.ceil(pending.length / steps) : pending.length;
        if (pending.codePointAt(end - 1) > 0xffff) end += 1; // not between the halves of a character
        append(pending.slice(0, end));
        pending = pending.slice(end);
        steps = Math.max(steps - 1, 1);
        return pending !== "";
      },
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
      const listener = (message, buffers) => hear(message, buffers, model);
      const keep = () => { if (model.get("whole")?.w) receive(model.get("whole")); }; // all of it, from a race that has ended
      model.on("msg:custom", listener);
      model.on("change:whole", keep);
      keep();
      return () => { model.off("msg:custom", listener); model.off("change:whole", keep); };
    },

    render({ model, el }) {
      const several = columns.length > 1;
      const root = make("div", several ? "live bifrost-several" : "live", el);
      root.setAttribute("role", "region");
      root.setAttribute("aria-label", model.get("title") || "Bifrost answer, live");
      const bar = make("div", "bar", root);
      if (model.get("title")) make("strong", "heading", bar, model.get("title"));
      const count = make("span", "summary", bar);
      const hint = make("span", "hint", null, model.get("hint"));
      const all = several ? button(bar, "Stop all", "Stop all", () => model.send({ stop: "all" })) : null;
      if (several) bar.append(hint);
      bar.hidden = !several && !model.get("title");
      pictures(make("div", "pictures", root), model.get("pictures"));
      const grid = make("div", "grid", root);
      const speaker = makeSpeaker();
      const parts = columns.map((_, i) => columnView(model, i, several, grid, speaker.say));
      if (!several) grid.querySelector(".bifrost-act").append(hint);
      let frame = null;
      let left = false;
      let timer = null;

      const unmoved = steady(root);
      const draw = unmoved(() => {
        frame = null;
        const follow = parts.map((part) => part.measure());
        left = parts.map((part) => part.flush()).includes(true);
        parts.forEach((part, i) => follow[i] && part.follow());
        if (parts.some((part) => part.render())) schedule(); // one in a frame: several would make it a long one
      });
      const schedule = () => { if (frame === null) frame = requestAnimationFrame(draw); };
      const drawFacts = parts.map((part) => unmoved(part.facts));
      const view = {
        text(i, text) { parts[i].text(text); schedule(); },
        reset() { parts.forEach((part) => part.reset()); schedule(); },
        facts(i) { drawFacts[i](); },
        html(i) { parts[i].html(); schedule(); },
        head() {
          count.textContent = several ? summary : "";
          const busy = columns.some((column) => running(column.facts));
          hint.hidden = !busy;
          if (all) all.hidden = !busy;
        },
      };
      // Rows of equal length: 8 columns in a wide cell are 4 + 4, 5 are 3 + 2, on a narrow screen one below the other.
      const fit = new ResizeObserver(([entry]) => {
        const room = Math.max(1, Math.floor((entry.contentRect.width + GAP_PX) / MIN_COLUMN_PX));
        const rows = Math.ceil(columns.length / room);
        grid.style.setProperty("--bifrost-columns", Math.ceil(columns.length / rows));
      });
      fit.observe(root);
      parts.forEach((part) => { part.reset(); part.facts(); part.html(); });
      view.head();
      schedule();
      views.add(view);
      timer = setInterval(() => {
        parts.forEach((part) => part.tick());
        if (left) schedule();
      }, TICK_MS);
      return () => {
        // What is still being inflated will be said, though no longer shown.
        speaker.leave(() => views.delete(view));
        clearInterval(timer);
        fit.disconnect();
        if (frame !== null) cancelAnimationFrame(frame);
      };
    },
  };
};
