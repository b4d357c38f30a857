// The answers of a report: search, filter, sort. Every text is set as textContent, so nothing of an answer can run.
(() => {
  const data = JSON.parse(document.getElementById("bifrost-data").textContent);
  const at = Object.fromEntries(data.columns.map((column, place) => [column.name, place]));
  const value = (name, row) => (name in at ? data.columns[at[name]].values[row] ?? null : null);
  const scores = data.scores;
  // Of a scorer that gives more than 0 and 1, such as a scale of 1 to 5, neither is a pass or a fail.
  const graded = new Set(scores.filter((name) => data.columns[at[name]].values.some((one) => one !== null && one !== 0 && one !== 1)));
  const inputs = data.columns.map((column) => column.name).filter((name) => name.startsWith("input_") && data.inputs.includes(name));
  const PAGE = 25;

  const make = (tag, name, parent, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    if (parent) parent.append(node);
    return node;
  };

  // What else it wrote where it was asked for several (`n`): the first is the response.
  function choices(row) {
    try { return JSON.parse(value("choices", row) ?? "[]").slice(1).map(String); } catch { return []; }
  }

  // One group for each row of inputs: the answers to it, by variant.
  const groups = new Map();
  for (let row = 0; row < data.rows; row++) {
    const key = value("input_id", row) ?? value("prompt_id", row) ?? value("prompt", row);
    if (!groups.has(key)) groups.set(key, { place: groups.size, rows: [] });
    groups.get(key).rows.push(row);
  }
  for (const group of groups.values()) {
    const texts = group.rows.flatMap((row) => [value("prompt", row), value("response", row), ...choices(row), ...inputs.map((name) => value(name, row))]);
    group.haystack = texts.filter((text) => text !== null).join("\n").toLowerCase();
    group.failed = group.rows.some((row) => value("status", row) !== "ok");
    group.low = Object.fromEntries(scores.map((score) => {
      const found = group.rows.map((row) => value(score, row)).filter((one) => one !== null);
      return [score, { least: Math.min(...found), spread: found.length ? Math.max(...found) - Math.min(...found) : 0 }];
    }));
    group.slowest = Math.max(...group.rows.map((row) => value("total_ms", row) ?? -1));
    group.dearest = group.rows.reduce((sum, row) => sum + (value("cost_usd", row) ?? 0), 0);
  }

  const filters = { all: ["all", () => true], failed: ["with errors", (group) => group.failed] };
  const sorts = {
    order: ["in order", (group) => group.place],
    slow: ["slowest first", (group) => -group.slowest],
    dear: ["dearest first", (group) => -group.dearest],
  };
  for (const score of scores) {
    const name = score.replace(/^score_/, "");
    filters["low" + score] = [`${name} below 0.5`, (group) => group.low[score].least < 0.5];
    filters["differs" + score] = [`${name} differs`, (group) => group.low[score].spread > 0];
    sorts["low" + score] = [`lowest ${name} first`, (group) => group.low[score].least];
  }

  const root = document.getElementById("answers");
  const bar = make("div", "bar", root);
  const select = (label, options) => {
    const box = make("label", "", bar, label + " ");
    const node = make("select", "", box);
    for (const [name, [words]] of Object.entries(options)) make("option", "", node, words).value = name;
    node.addEventListener("change", () => draw(true));
    return node;
  };
  const filter = select("Show", filters);
  const sort = select("Sort", sorts);
  const variant = select("Variant", { all: ["all"], ...Object.fromEntries(data.variants.map((name) => ["=" + name, [name]])) });
  const search = make("input", "", make("label", "", bar, "Search "));
  search.type = "search";
  search.addEventListener("input", () => draw(true));
  const count = make("p", "count", root);
  count.setAttribute("aria-live", "polite");
  const list = make("div", "", root);
  const more = make("button", "more", root, "Show more");
  more.addEventListener("click", () => draw(false));
  let shown = [], drawn = 0;

  const ms = (number) => {  // times and dollars as _display/describe.py writes them
    if (number === null) return null;
    const seen = Number(number.toPrecision(3));
    if (seen < 1000) return `${seen} ms`;
    if (seen < 60000) return `${seen / 1000} s`;
    const seconds = Math.round(number / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
  };
  const usd = (number) => {
    if (number === null) return "cost unknown";
    const size = Math.abs(number);
    const written = size === 0 || size >= 0.9995
      ? size.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
      : size.toFixed(Math.min(12, 2 - Math.floor(Math.log10(Number(size.toPrecision(3))))));
    return (number < 0 ? "-$" : "$") + written;
  };

  function badge(parent, row, score) {
    const found = value(score, row), reason = value(score + "_reason", row) ?? value(score + "_error", row);
    if (found === null && reason === null) return;
    const name = score.replace(/^score_/, "");
    const state = found === null ? "unknown" : graded.has(score) ? "value" : found === 1 ? "pass" : found === 0 ? "fail" : "value";
    const sign = { unknown: `${name} ?`, pass: `\u2713 ${name}`, fail: `\u2715 ${name}`, value: `${name} ${found?.toFixed(2)}` }[state];
    make("span", "badge " + state, parent, sign);
    if (reason !== null) make("span", "reason", parent, reason).dir = "auto";
  }

  const asked = (prompt) => (Object.hasOwn(data.read ?? {}, prompt) ? data.read[prompt] : prompt); // a conversation as it is read

  // Pictures that are here already; Python has looked at each.
  const PICTURE = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/;
  function pictures(parent, kind, row, words) {
    for (const at of data[kind]?.[row] ?? []) {
      const url = data.pictures[at];
      if (!PICTURE.test(url)) continue;
      const image = make("img", "picture", parent);
      image.alt = words;
      image.src = url;
    }
  }

  // Name and arguments of each tool that the answer calls, an argument a line.
  function calls(row) {
    const found = value("tool_calls", row);
    if (found === null || found.length > 1e6) return found === null ? "" : "calls tools with very long arguments";
    try {
      return JSON.parse(found).map((call) => {
        const { name, arguments: given } = call.function;
        try {
          const lines = Object.entries(JSON.parse(given)).sort().map(([key, one]) => `  ${key}: ${JSON.stringify(one)}`);
          return [`${name}(`, ...lines, ")"].join("\n");
        } catch { return `${name}(${given})`; }
      }).join("\n").slice(0, 20000);
    } catch { return found.slice(0, 20000); }
  }

  function answer(parent, row) {
    const card = make("div", "answer", parent);
    const ok = value("status", row) === "ok";
    if (!ok) make("p", "bad", card, `${value("status", row) ?? "unknown"}: ${value("error_message", row) ?? ""}`);
    const others = choices(row);
    if (others.length) make("p", "facts", card, "Choice 1");
    if (value("response", row)) make("div", "text", card, value("response", row)).dir = "auto";
    else if (data.nothing?.[row] && !data.drawn?.[row]?.length) make("p", "facts", card, `(${data.nothing[row]})`);
    others.forEach((text, place) => {
      make("p", "facts", card, `Choice ${place + 2}`);
      make("div", "text", card, text).dir = "auto";
    });
    const called = calls(row);
    if (called) make("div", "text calls", card, called);
    pictures(card, "drawn", row, "a picture of the answer");
    const judged = make("div", "badges", card);
    for (const score of scores) badge(judged, row, score);
    const served = [value("provider", row), value("model", row)].filter(Boolean).join("/");
    const facts = [ms(value("total_ms", row)), usd(value("cost_usd", row)), value("is_fallback", row) ? `by fallback ${served}` : null];
    make("p", "facts", card, facts.filter(Boolean).join(" \u00B7 "));
  }

  function section(group) {
    const node = make("section", "group", list);
    const first = group.rows[0];
    const one = new Set(group.rows.map((row) => value("prompt", row))).size === 1;
    const named = inputs.map((name) => [name.slice(6), value(name, first)]).filter(([, given]) => given !== null);
    const title = one || !named.length ? asked(value("prompt", first)) ?? "(prompt not kept)" : named.map(([name, given]) => `${name}: ${given}`).join("\n");
    make("h3", "", node, title).dir = "auto";
    pictures(node, "asked", first, "a picture of the prompt");
    const columns = make("div", "columns", node);
    for (const name of data.variants) {
      if (variant.value !== "all" && variant.value !== "=" + name) continue;
      const rows = group.rows.filter((row) => value("variant", row) === name);
      if (!rows.length) continue;
      const column = make("div", "column", columns);
      make("h4", "", column, name);
      for (const row of rows) answer(column, row);
    }
  }

  function draw(anew) {
    if (anew) {
      const sought = search.value.toLowerCase();
      shown = [...groups.values()].filter((group) => filters[filter.value][1](group) && group.haystack.includes(sought));
      const key = sorts[sort.value][1];
      shown.sort((a, b) => key(a) - key(b) || a.place - b.place);
      list.replaceChildren();
      drawn = 0;
    }
    for (const group of shown.slice(drawn, drawn + PAGE)) section(group);
    drawn = Math.min(drawn + PAGE, shown.length);
    const [some, found, all] = [drawn, shown.length, groups.size].map((number) => number.toLocaleString("en"));
    const rows = `${found} row${found === "1" ? "" : "s"}`;
    count.textContent = (some === found ? rows : `${some} of ${rows} shown`) + (found === all ? "" : `, ${all} in all`);
    more.hidden = drawn >= shown.length;
  }
  draw(true);
  // Paper has no button for more: it gets every row that the filter leaves.
  addEventListener("beforeprint", () => { while (drawn < shown.length) draw(false); });
})();
