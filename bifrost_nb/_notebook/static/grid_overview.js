// Counters of a running comparison: one row per deployment, and Stop all. Every text is textContent.

const make = (tag, name, parent, text) => {
  const node = document.createElement(tag);
  if (name) node.className = "bifrost-" + name;
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};

export default () => ({
  render({ model, el }) {
    const root = make("div", "board", el);
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Running comparison");
    const bar = make("div", "g-bar", root);
    const said = make("span", "g-count", bar);
    said.setAttribute("role", "status");
    const stop = make("button", "g-button", bar, "Stop all");
    stop.type = "button";
    stop.addEventListener("click", () => { stop.disabled = true; stop.textContent = "Stopping\u2026"; model.send({ stop: "all" }); });
    make("span", "g-hint", bar, "or press \u25A0 (interrupt)");
    const table = make("table", "g-table", make("div", "g-scroll", root));
    const head = make("tr", "", make("thead", "", table));
    for (const title of model.get("titles")) make("th", "g-figure", head, title).scope = "col";
    const body = make("tbody", "", table);
    const lines = model.get("rows").map((row) => {
      const line = make("tr", "", body);
      make("th", "g-prompt", line, row.name).scope = "row";
      const ended = make("td", "g-figure", line);
      const bar = make("div", "g-track", ended);
      bar.setAttribute("aria-hidden", "true"); // the words below say it
      return { bar: make("div", "g-fill", bar), ended: make("span", "", ended),
        running: make("td", "g-figure", line), first: make("td", "g-figure", line), cost: make("td", "g-figure", line) };
    });
    function draw() {
      said.textContent = model.get("said");
      model.get("rows").forEach((row, i) => {
        lines[i].bar.style.width = `${100 * row.share}%`;
        for (const name of ["ended", "running", "first", "cost"]) lines[i][name].textContent = row[name];
      });
    }
    const redraw = steady(root)(draw);
    model.on("change:rows", redraw);
    model.on("change:said", redraw);
    draw();
    return () => { model.off("change:rows", redraw); model.off("change:said", redraw); };
  },
});
