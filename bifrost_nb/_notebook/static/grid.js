// The grid's page. Texts are set as textContent; the only markup is what Python has rendered for an opened answer (`html`)
// and a word diff (`diff`), put in `place` (safe.js).

const make = (tag, name, parent, text) => {
  const node = document.createElement(tag);
  if (name) node.className = "bifrost-g-" + name;
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};

const button = (parent, label, name, press) => {
  const node = make("button", "button", parent, label);
  node.type = "button";
  if (name) node.setAttribute("aria-label", name);
  node.addEventListener("click", press);
  return node;
};

function choice(parent, label, options, change) {
  const box = make("label", "choice", parent, label + " ");
  const select = make("select", "select", box);
  select.setAttribute("aria-label", label);
  for (const [value, words] of options) make("option", "", select, words).value = value;
  select.addEventListener("change", () => change(select.value));
  return select;
}

// A score: its state is colour and sign, its reason the tooltip.
function badge(parent, score) {
  const node = make("span", "badge", parent, score.text);
  node.dataset.state = score.state;
  if (score.reason) node.title = score.reason;
  return node;
}

// Hand the reader a file that Python has made.
function download(name, bytes) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes]));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// One answer in full: what it says, what is known about it, and the reader's judgement.
function answerView(parent, answer, rate) {
  const root = make("section", "answer", parent);
  root.setAttribute("aria-label", answer.label);
  make("h4", "label", root, answer.label);
  const body = make("div", "body", root);
  place(body, answer.html);
  pictures(make("div", "pictures", root), answer.drawn, "the picture of this answer");
  const scores = make("ul", "scores", root);
  for (const score of answer.scores) {
    const item = make("li", "", scores);
    badge(item, score);
    if (score.reason) make("span", "reason", item, " " + score.reason);
  }
  scores.hidden = !answer.scores.length;
  make("p", "story", root, answer.story);
  const list = make("dl", "facts", root);
  for (const [name, said] of answer.facts) {
    const pair = make("div", "fact", list);
    make("dt", "", pair, name);
    make("dd", "", pair, said);
  }
  const row = make("form", "judge", root);
  const thumbs = {};
  const press = (rating) => {
    for (const [name, node] of Object.entries(thumbs)) node.setAttribute("aria-pressed", String(name === rating));
  };
  for (const [name, words] of [["up", "Good"], ["down", "Bad"]]) { // no thumbs: a system without emoji shows boxes
    thumbs[name] = button(row, words, words + " answer", () => { press(name); rate({ rating: name }); });
  }
  press(answer.rating);
  const note = make("input", "note", row);
  note.type = "text";
  note.value = answer.note;
  note.placeholder = "Note";
  note.setAttribute("aria-label", "Note on this answer");
  const save = make("button", "button", row, "Save note");
  save.type = "submit";
  const said = make("span", "said", row);
  said.setAttribute("aria-live", "polite");
  row.addEventListener("submit", (event) => { event.preventDefault(); rate({ note: note.value }); });
  return said;
}

export default () => ({
  render({ model, el }) {
    const names = model.get("deployments");
    const root = make("div", "", el);
    root.className = "bifrost-board";
    // A key pressed here is ours, not the notebook's (there "x" cuts the cell). Lumino looks at the focused node itself.
    root.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Answers of the comparison");

    // Each page says which request it answers, of this view or another. While newer ones of this view are under way, what
    // was clicked and typed is ahead of the page.
    const me = Math.random().toString(36);
    let asked = 0;
    let answered = 0;
    const show = (wish) => model.send({ show: wish, by: [me, ++asked] });
    const bar = make("div", "bar", root);
    const filter = choice(bar, "Show", model.get("filters"), (value) => show({ filter: value }));
    const sort = choice(bar, "Sort", [...model.get("sorts"), ["", "by a column"]], (value) => show({ sort: value, descending: false }));
    sort.lastElementChild.disabled = true; // a header chooses it
    const search = make("input", "note", bar);
    search.type = "search";
    search.placeholder = "Search prompts, inputs, answers";
    search.setAttribute("aria-label", search.placeholder);
    let typing;
    search.addEventListener("input", () => {
      clearTimeout(typing);
      asked += 1; // what is typed counts from now on
      typing = setTimeout(() => show({ search: search.value }), 250);
    });
    const inputs = Object.entries(model.get("choices")).map(([column, values]) => {
      const options = [["", "any"], ...values.map((value) => ["=" + value, value || "(empty)"])];
      return [column, choice(bar, column, options, (value) => show({ where: value ? [column, value.slice(1)] : ["", ""] }))];
    });
    const more = make("details", "columns", bar);
    make("summary", "button", more, "Columns");
    const menu = make("div", "menu", more);
    const tick = (words, change) => {
      const label = make("label", "tick", menu);
      const box = make("input", "tickbox", label);
      box.type = "checkbox";
      make("span", "", label, words);
      box.addEventListener("change", change);
      return box;
    };
    // What was clicked, not what comes of it: several clicks may be under way.
    const ticks = names.map((name, column) => tick(name, () => show({ tick: [column, ticks[column].checked] })));
    const rendered = tick("Render Markdown", () => show({ rendered: rendered.checked }));
    button(bar, "\u2913 CSV", "Download what is shown as CSV", () => model.send({ export: ".csv" }));
    button(bar, "\u2913 Excel", "Download what is shown as an Excel file", () => model.send({ export: ".xlsx" }));
    const foot = make("div", "bar", root);
    const said = make("span", "count", foot);
    said.setAttribute("aria-live", "polite");
    const page = () => model.get("page");
    const back = button(foot, "\u25C0 Previous", "Previous page", () => show({ turn: -1 }));
    const next = button(foot, "Next \u25B6", "Next page", () => show({ turn: 1 }));

    const scroll = make("div", "scroll", root);
    const table = make("table", "table", scroll);
    table.setAttribute("aria-label", "Prompts down, deployments across. Arrow keys move, Enter opens an answer.");
    const head = make("tr", "", make("thead", "", table));
    const body = make("tbody", "", table);
    const detail = make("aside", "detail", root);
    detail.hidden = true;
    let boxes = []; // [row][column] of the page
    let at = [0, 0];
    let opened = null; // the button whose answer is open
    let sayings = [];

    // One cell of the table can be reached by Tab; the arrow keys move within.
    function move(row, column, focus = true) {
      if (!boxes.length) return;
      boxes[at[0]]?.[at[1]]?.setAttribute("tabindex", "-1");
      at = [Math.min(Math.max(row, 0), boxes.length - 1), Math.min(Math.max(column, 0), boxes[0].length - 1)];
      const cell = boxes[at[0]][at[1]];
      cell.tabIndex = 0;
      if (focus) cell.focus();
    }

    // A click on a header sorts by it; another one turns the order round.
    function heading(label, sortBy, view) {
      const node = make("th", "", head);
      node.scope = "col";
      const active = view.sort === sortBy;
      node.setAttribute("aria-sort", active ? (view.descending ? "descending" : "ascending") : "none");
      const arrow = active ? (view.descending ? " \u25BC" : " \u25B2") : "";
      const press = () => show({ sort: sortBy, descending: active && !view.descending });
      const made = button(node, "", `Sort by ${label}`, press);
      made.className = "bifrost-g-head"; // a name's line ends behind its provider, not within a word
      made.append(...(label + arrow).split(/(?<=[/_])/).flatMap((part) => [part, document.createElement("wbr")]));
    }

    function drawHead(view) {
      const at = [...head.children].findIndex((node) => node.contains(document.activeElement));
      head.replaceChildren();
      heading("Prompt", "prompt", view);
      view.columns.forEach((column) => heading(names[column], `column:${column}`, view));
      if (at >= 0) head.children[at]?.querySelector("button").focus();
      table.style.setProperty("--bf-columns", view.columns.length);
    }

    function drawControls(view) {
      ticks.forEach((one, column) => { one.checked = view.columns.includes(column); });
      rendered.checked = view.rendered;
      if (document.activeElement !== search) search.value = view.search;
      for (const [column, select] of inputs) select.value = view.where[0] === column ? "=" + view.where[1] : "";
      filter.value = view.filter;
      sort.value = view.sort.startsWith("column:") ? "" : view.sort;
    }

    function draw() {
      const view = page();
      drawHead(view);
      if (view.by[0] === me) answered = view.by[1];
      if (answered === asked) drawControls(view);
      const focused = body.contains(document.activeElement);
      said.textContent = view.said + (view.pages > 1 ? ` \u00B7 page ${view.page + 1} of ${view.pages}` : "");
      back.disabled = view.page === 0;
      next.disabled = view.page >= view.pages - 1;
      body.replaceChildren();
      boxes = view.rows.map((row) => {
        const line = make("tr", "", body);
        const prompt = make("th", "prompt", line, row.prompt);
        prompt.scope = "row";
        prompt.dir = "auto";
        if (row.pictures.length) pictures(make("div", "pictures", prompt), row.pictures);
        return row.cells.map((cell, position) => {
          const column = view.columns[position];
          const node = button(make("td", "", line), "", "", () => {
            move(boxes.findIndex((one) => one.includes(node)), position);
            opened = [row.row, column];
            model.send({ open: opened });
          });
          node.className = "bifrost-g-cell";
          node.dataset.state = cell.state;
          node.tabIndex = -1;
          const scores = cell.badges.map((one) => one.text);
          node.setAttribute("aria-label", `${names[column]}: ${cell.text} (${[...scores, cell.said].join(", ")})`);
          const text = make("span", "text", node, (cell.state === "failed" ? "\u2715 " : "") + cell.text);
          text.dir = "auto";
          if (cell.html) {
            text.classList.add("bifrost-g-rendered");
            place(text, cell.html);
          }
          if (cell.pictures && cell.pictures.length) {
            // Beside the button: what plays must not be inside of what opens.
            pictures(make("div", "pictures", node.parentElement), cell.pictures, `the picture of ${names[column]}`);
          }
          if (cell.badges.length) {
            const line = make("span", "badges", node);
            for (const one of cell.badges) badge(line, one);
          }
          const facts = make("span", "said", node, cell.state === "mixed" ? "\u25B3 " : "");
          cell.said.split(" \u00b7 ").forEach((fact, place) => {
            if (place) facts.append(" \u00b7 ");
            make("span", "whole", facts, fact);
          });
          return node;
        });
      });
      move(...at, focused);
    }

    const close = () => { detail.hidden = true; detail.replaceChildren(); move(...at); };

    function open(content) {
      detail.replaceChildren();
      detail.hidden = false;
      const name = names[content.deployment];
      detail.setAttribute("aria-label", `Answers of ${name}`);
      const top = make("div", "bar", detail);
      const title = make("h3", "title", top, name);
      title.tabIndex = -1;
      const others = names.map((other, i) => [String(i), other]).filter((_, i) => i !== content.deployment);
      if (others.length) {
        choice(top, "Compare words with", [["", "\u2013"], ...others], (value) => {
          diff.replaceChildren();
          if (value) model.send({ diff: [content.row, content.deployment, Number(value)] });
        });
      }
      button(top, "Close", "Close the answers (Escape)", close);
      make("div", "asked", detail, content.prompt).dir = "auto";
      pictures(make("div", "pictures", detail), content.pictures);
      const diff = make("div", "diff", detail);
      diff.setAttribute("aria-live", "polite");
      sayings = content.answers.map((answer, i) =>
        answerView(detail, answer, (judged) => model.send({ rate: [content.row, content.deployment, i], ...judged })));
      if (content.more) make("p", "", detail, `\u2026 and ${content.more} more distinct answers: comparison.answers() lists all.`);
      title.focus({ preventScroll: true });
      detail.scrollIntoView({ block: detail.offsetHeight < innerHeight / 2 ? "nearest" : "start" });
    }

    const hear = (message, buffers) => {
      if (message.file) download(message.file, buffers[0]);
      if (message.detail && opened && message.detail.row === opened[0] && message.detail.deployment === opened[1]) open(message.detail);
      if (typeof message.diff === "string") { const node = detail.querySelector(".bifrost-g-diff"); if (node) place(node, message.diff); }
      if (message.rated && sayings[message.rated[2]]) sayings[message.rated[2]].textContent = message.rated[4];
      if (message.problem) said.textContent = message.problem;
    };

    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const press = (event) => {
      if (event.key === "Escape" && !detail.hidden) { event.preventDefault(); close(); return; }
      if (!body.contains(event.target)) return;
      const step = steps[event.key];
      if (step) move(at[0] + step[0], at[1] + step[1]);
      else if (event.key === "Home") move(at[0], 0);
      else if (event.key === "End") move(at[0], boxes[0].length - 1);
      else if (event.key === "PageDown" && !next.disabled) next.click();
      else if (event.key === "PageUp" && !back.disabled) back.click();
      else return;
      event.preventDefault();
    };
    root.addEventListener("keydown", press);
    const redraw = steady(root)(draw);
    model.on("change:page", redraw);
    model.on("msg:custom", hear);
    draw();
    return () => { model.off("change:page", redraw); model.off("msg:custom", hear); };
  },
});
