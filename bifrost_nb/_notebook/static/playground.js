// The playground's form. The page owns what is typed; Python owns what follows from it.
//
// Everything from Python (names of deployments, lines, code) becomes a text node or the value of a control, never markup.
//
// Synced values, written by Python only:
//   form {deployments, settings, api, system, turns, prompt, values, parameters, fallbacks, repeats, scores, schema, revision}; drawn
//   when revision is new; pictures [of the prompt, of each turn]: data: URLs; versions [[name, line]]
//   told {variables: [[name, bound]], problem, calls, rows, running, scorers: [[column, words]], goes_on: [column], version,
//   chats: [[column, [[role, text]]]], typed: [how answers are read, what is wrong with the schema]},
//   models [name], missing (why there are none), history [[number, line]], shown (the round whose answers are on display; 0: none), line, codes
// To Python: {form} after a change, {form, do: "run" | "code" | "keep" | "diff", as, deployment, name, to},
//   {do: "stop" | "models"}, {do: "restore", number}, {do: "go_on", column, each}, {do: "forget"}, {do: "use", name}, {do: "detach", place},
//   {do: "attach"} with the pictures' bytes. From Python as a message: {code: text}, {diff: [[kind, text]], title}.

const SETTLE_MS = 150; // after the last key, before the form is sent
const LISTED = 60; // deployments drawn at once; the filter finds the others
const LOOK_MS = 2000; // while no deployment is known, it is asked again so often, a few times
const LOOKS = 5;
const EACH = " each"; // the name of no column: those are stripped

const NUMBERS = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1 }, true],
  ["top_p", "Top p", { min: 0, max: 1, step: 0.05 }, true],
  ["max_tokens", "Max tokens", { min: 1, step: 1 }, false],
  ["seed", "Seed", { step: 1 }, false],
  ["n", "Choices (n)", { min: 1, max: 128, step: 1 }, false],
];

const LABELS = { compare: "Python, bf.compare", curl: "curl", httpx: "httpx", openai: "openai SDK", magic: "%%bifrost" };

export default {
  render({ model, el }) {
    const own = Math.random().toString(36).slice(2); // ids hold for the page, on which there may be several playgrounds
    const id = (name) => "bifrost-pg-" + own + "-" + name;
    let chosen = [];
    let settings = {}; // own ones by column
    let opened = null; // the column whose settings are open
    let values = {}; // typed values by variable, also of those not in the prompt now
    let scores = []; // the columns of the chosen scorers
    let others = {}; // parameters without a control here, kept as they are
    let drawn = null; // the revision on the page
    let timer = null;
    let ahead = false; // the form is newer than what the kernel last told of it
    let looks = 0;

    function make(tag, name, parent, text) {
      const node = document.createElement(tag);
      if (name) node.className = "bifrost-pg-" + name;
      if (text !== undefined) node.textContent = text;
      if (parent) parent.append(node);
      return node;
    }

    function field(parent, name, label, control) {
      const box = make("div", "field", parent);
      const said = make("label", "label", box, label);
      control.id = id(name);
      said.htmlFor = control.id;
      box.append(control);
      return control;
    }

    function button(parent, label, name, press) {
      const node = make("button", name, parent, label);
      node.type = "button";
      node.addEventListener("click", press);
      return node;
    }

    function input(type, attributes = {}) {
      const node = document.createElement(type === "textarea" || type === "select" ? type : "input");
      node.className = "bifrost-pg-input";
      if (node.tagName === "INPUT") node.type = type;
      Object.assign(node, attributes);
      return node;
    }

    const root = make("section", "root", el);
    root.setAttribute("aria-label", "Playground");
    // JupyterLab would take letters and arrows pressed on a box or list for its shortcuts, and insert or delete cells.
    // It looks for this attribute on the way from the focused control up, which must therefore carry it itself.
    root.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
    const grid = make("div", "grid", root);

    const tools_of = { make, field, button, input };

    // Deployments
    const left = make("fieldset", "left", grid);
    make("legend", "legend", left, "Deployments");
    const chips = make("ul", "chips", left);
    chips.setAttribute("aria-label", "Chosen deployments");
    const filter = field(left, "filter", "Search, or provider/model and Enter", input("search", { autocomplete: "off", spellcheck: false }));
    const list = make("div", "list", left);
    list.setAttribute("role", "group");
    list.setAttribute("aria-label", "Known deployments");
    const more = make("div", "quiet", left);
    const fallbacks = field(left, "fallbacks", "Fallbacks, in order", input("text", { placeholder: "provider/model, provider/model", spellcheck: false }));

    // What is asked
    const right = make("fieldset", "right", grid);
    make("legend", "legend", right, "Request");
    const kinds = make("div", "kinds", right);
    kinds.setAttribute("role", "radiogroup");
    kinds.setAttribute("aria-label", "Kind of completion");
    const kind = {};
    for (const [name, label] of [["", "Automatic"], ["text", "Text completion"], ["chat", "Chat"], ["responses", "Responses API"]]) {
      const said = make("label", "kind", kinds);
      kind[name] = input("radio", { name: id("kind"), value: name });
      said.append(kind[name], document.createTextNode(label));
    }
    const system = field(right, "system", "System", input("textarea", { rows: 2 }));
    const turns = earlierTurns(tools_of, right, () => changed());
    const chats = ownChats(tools_of, right, () => model.send({ form: form(), do: "forget" }));
    const prompt = field(right, "prompt", "Prompt; {{name}} makes a variable", input("textarea", { rows: 4 }));
    const attached = make("div", "attached", right);
    const file = input("file", { accept: "image/png,image/jpeg,image/webp,image/gif", multiple: true, hidden: true });
    file.tabIndex = -1;
    const attach_button = button(attached, "Attach pictures", "button", () => file.click());
    attach_button.classList.add("bifrost-pg-small");
    const thumbs = make("span", "thumbs", attached);
    attached.append(file);
    file.addEventListener("change", () => { attach([...file.files]); file.value = ""; });
    prompt.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData ? event.clipboardData.files : [])].filter((each) => each.type.startsWith("image/"));
      if (files.length) { event.preventDefault(); attach(files); }
    });
    async function attach(files) {
      const read = await Promise.all(files.map((each) => each.arrayBuffer()));
      model.send({ form: form(), do: "attach" }, undefined, read);
    }
    const schema = answerSchema(tools_of, right);
    const variables = make("div", "variables", right);
    const inputs = {};

    const details = make("div", "parameters", right);
    details.setAttribute("role", "group");
    details.setAttribute("aria-label", "Parameters");
    const numbers = {};
    for (const [name, label, limits, slides] of NUMBERS) {
      const control = field(details, name, label, input("number", { placeholder: "default", ...limits }));
      numbers[name] = control;
      if (!slides) continue;
      const slider = input("range", { ...limits, className: "bifrost-pg-slider" });
      slider.setAttribute("aria-label", label + ", slider");
      control.after(slider);
      const follow = () => { slider.value = control.value === "" ? 1 : control.value; slider.classList.toggle("bifrost-pg-unset", control.value === ""); };
      slider.addEventListener("input", () => { control.value = slider.value; follow(); });
      control.addEventListener("input", follow);
      control.follow = follow;
    }
    const stops = field(details, "stops", "Stop, one per line", input("textarea", { rows: 1, placeholder: "\\n is a line end" }));
    const repeats = field(details, "repeats", "Repeats", input("number", { min: 1, max: 1000, step: 1 }));

    const judged = make("div", "kinds", right);
    judged.setAttribute("role", "group");
    judged.setAttribute("aria-label", "Scores");

    // What to do
    const bar = make("div", "bar", root);
    const run = button(bar, "Run", "run", () => start());
    const halt = button(bar, "Stop", "button", () => model.send({ do: "stop" }));
    const line = make("span", "line", bar);
    line.setAttribute("role", "status");
    const on = make("span", "group", bar);
    const whose = input("select");
    whose.setAttribute("aria-label", "Continue with the answer of");
    on.append(whose);
    button(on, "Continue", "button", () => model.send({ form: form(), do: "go_on", column: whose.value, each: whose.value === EACH }));
    const tools = make("div", "bar", root); // a row of its own, so that nothing moves under the pointer when a round ends
    const history = input("select");
    const past = make("span", "group", tools);
    history.setAttribute("aria-label", "Earlier rounds");
    past.append(history);
    const restore = button(past, "Restore", "button", () => { if (history.value) model.send({ do: "restore", number: Number(history.value) }); });
    const forms = input("select");
    const copying = make("span", "group", tools);
    forms.setAttribute("aria-label", "Copy as");
    copying.append(forms);
    for (const name of model.get("codes")) {
      const option = make("option", "", forms, LABELS[name] || name);
      option.value = name;
    }
    button(copying, "Copy as code", "button", () => model.send({ form: form(), do: "code", as: forms.value }));
    const versions = make("div", "versions", root);
    const kept = keptPrompts(tools_of, versions, model, (wish) => model.send({ form: form(), ...wish }));
    const written = make("div", "code", root);
    written.hidden = true;
    const code = field(written, "code", "Code", input("textarea", { readOnly: true, rows: 8, spellcheck: false }));
    const copied = make("span", "quiet", written);
    copied.setAttribute("role", "status");
    button(written, "Hide code", "button", () => { written.hidden = true; });

    const number_of = (control) => (control.value.trim() === "" ? null : Number(control.value));

    function form() {
      const parameters = { ...others };
      for (const name of Object.keys(numbers)) if (number_of(numbers[name]) !== null) parameters[name] = number_of(numbers[name]);
      const ends = stops.value.split("\n").filter((each) => each !== "").map((each) => each.replaceAll("\\n", "\n").replaceAll("\\t", "\t"));
      if (ends.length) parameters.stop = ends;
      return {
        deployments: chosen,
        settings,
        turns: turns.take(),
        api: Object.keys(kind).find((name) => kind[name].checked) || "",
        system: system.value,
        prompt: prompt.value,
        schema: schema.take(),
        values,
        parameters,
        fallbacks: fallbacks.value.split(",").map((each) => each.trim()).filter(Boolean),
        repeats: number_of(repeats) || 1,
        scores,
      };
    }

    function changed() {
      ahead = true;
      clearTimeout(timer);
      timer = setTimeout(() => { timer = null; model.send({ form: form() }); }, SETTLE_MS);
    }

    function start() {
      // What was typed a moment ago may have mended what the kernel last said is wrong: it is asked again.
      if (model.get("told").running || (run.disabled && !ahead)) return;
      clearTimeout(timer);
      timer = null;
      model.send({ form: form(), do: "run" });
    }

    function choose(name, wanted) {
      chosen = chosen.filter((each) => each !== name);
      if (wanted) chosen.push(name);
      drawChips();
      for (const box of list.querySelectorAll("input")) if (box.value === name) box.checked = wanted;
      changed();
    }

    function drawChips() {
      chips.replaceChildren();
      chips.hidden = !chosen.length;
      for (const name of chosen) {
        const chip = make("li", "chip", chips);
        const said = make("span", "chipname", chip, name);
        const words = make("span", "quiet", chip, ownWords(settings[name] || {}));
        const ways = make("span", "chipways", chip);
        const own = button(ways, "Settings", "own-open", () => { opened = opened === name ? null : name; drawChips(); again(name); });
        own.setAttribute("aria-label", "Settings of " + name);
        own.setAttribute("aria-expanded", String(opened === name));
        const twin = button(ways, "Copy", "own-open", () => {
          let number = 2;
          const base = (settings[name] || {}).deployment || name;
          while (chosen.includes(base + " (" + number + ")")) number += 1;
          const made = base + " (" + number + ")";
          settings = { ...settings, [made]: { ...settings[name], deployment: base } };
          chosen.splice(chosen.indexOf(name) + 1, 0, made);
          opened = made;
          drawChips();
          again(made);
          changed();
        });
        twin.setAttribute("aria-label", "Ask " + name + " twice, with other settings");
        const remove = button(ways, "\u00d7", "remove", () => { choose(name, false); filter.focus(); });
        remove.setAttribute("aria-label", "Remove " + name);
        if (opened !== name) continue;
        columnSettings(tools_of, chip, name, settings[name] || {}, shared, (key, value) => {
          const { [key]: _, ...rest } = settings[name] || {};
          settings = { ...settings, [name]: value === null ? rest : { ...rest, [key]: value } };
          words.textContent = ownWords(settings[name]);
          changed();
        });
      }
    }

    function again(name) {
      for (const each of chips.querySelectorAll("button")) if (each.getAttribute("aria-label") === "Settings of " + name) each.focus();
    }

    // What all columns have, in the place of what one could have instead.
    const shared = (name) => (name === "system" ? system.value : numbers[name].value) || (name === "system" ? "none" : "default");

    function drawPictures() {
      const urls = model.get("pictures")[0] || [];
      pictures(thumbs, urls);
      thumbs.querySelectorAll("img").forEach((image, place) => {
        const remove = button(thumbs, "\u00d7", "remove", () => {
          for (const each of thumbs.querySelectorAll("button")) each.disabled = true; // the places are about to change
          model.send({ do: "detach", place });
        });
        remove.setAttribute("aria-label", "Remove picture " + (place + 1));
        image.after(remove);
      });
    }

    function drawOn() {
      const names = model.get("told").goes_on || [];
      on.hidden = !names.length;
      if (whose.dataset.key === JSON.stringify(names)) return;
      whose.dataset.key = JSON.stringify(names);
      whose.replaceChildren();
      for (const name of names) make("option", "", whose, name).value = name;
      if (names.length > 1) make("option", "", whose, "each with its own").value = EACH;
      whose.hidden = names.length < 2;
    }

    function drawList() {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const known = model.get("models");
      const found = known.filter((name) => words.every((word) => name.toLowerCase().includes(word)));
      list.replaceChildren();
      for (const name of found.slice(0, LISTED)) {
        const said = make("label", "option", list);
        const box = input("checkbox", { value: name, checked: chosen.includes(name) });
        box.addEventListener("change", () => choose(name, box.checked));
        said.append(box, document.createTextNode(name));
      }
      list.hidden = !found.length;
      const rest = found.length - LISTED;
      more.textContent = !known.length ? (model.get("missing") || "No deployments known yet.") + " Or write provider/model and press Enter."
        : !found.length ? "None fits; Enter takes it as written."
        : rest > 0 ? "\u2026 and " + rest + " more: type to search." : "";
      more.hidden = !more.textContent;
      return found;
    }

    function drawVariables() {
      const wanted = model.get("told").variables || [];
      const key = JSON.stringify(wanted);
      if (variables.dataset.key === key) return;
      const focused = Object.keys(inputs).find((name) => inputs[name] === document.activeElement);
      variables.dataset.key = key;
      variables.replaceChildren();
      for (const name of Object.keys(inputs)) delete inputs[name];
      wanted.forEach(([name, bound], place) => {
        if (bound) {
          const box = make("div", "field", variables);
          make("span", "label", box, "{{" + name + "}}");
          make("span", "quiet", box, "from the bound rows");
          return;
        }
        const control = field(variables, "value-" + place, "{{" + name + "}}", input("textarea", { rows: 1, value: Object.hasOwn(values, name) ? values[name] : "" }));
        control.addEventListener("input", () => { values = { ...values, [name]: control.value }; changed(); });
        inputs[name] = control;
        if (name === focused) control.focus();
      });
      variables.hidden = !wanted.length;
    }

    function drawScorers() {
      const given = model.get("told").scorers || [];
      judged.hidden = !given.length;
      const key = JSON.stringify(given);
      if (judged.dataset.key !== key) {
        judged.dataset.key = key;
        judged.replaceChildren();
        if (given.length) make("span", "label", judged, "Score by");
        for (const [column, words] of given) {
          const said = make("label", "kind", judged);
          const box = input("checkbox", { value: column });
          box.addEventListener("change", () => {
            scores = scores.filter((each) => each !== column);
            if (box.checked) scores.push(column);
          });
          said.append(box, document.createTextNode(words));
        }
      }
      for (const box of judged.querySelectorAll("input")) box.checked = scores.includes(box.value);
    }

    function drawTold() {
      const told = model.get("told");
      run.textContent = told.calls > 1 ? "Run \u00b7 " + told.calls + " calls" : "Run";
      ahead = timer !== null;
      run.disabled = Boolean(told.running || told.problem);
      halt.disabled = !told.running;
      root.setAttribute("aria-busy", String(Boolean(told.running)));
      chats.draw(told.chats || []);
      schema.say(told.typed || ["", ""]);
      drawVariables();
      drawScorers();
      drawOn();
      drawLine();
    }

    function drawLine() {
      const told = model.get("told");
      const rows = told.rows ? told.rows + " rows bound. " : "";
      const text = rows + (model.get("line") && (told.running || !told.problem) ? model.get("line") : told.problem || model.get("line"));
      if (line.textContent !== text) line.textContent = text;
    }

    function drawHistory() {
      const entries = model.get("history");
      history.replaceChildren();
      for (const [round, said] of entries) {
        const option = make("option", "", history, said);
        option.value = String(round);
      }
      if (!entries.length) make("option", "", history, "No earlier rounds");
      history.disabled = restore.disabled = !entries.length;
      drawShown();
    }

    // The round whose answers are on display; another one chosen here stays chosen until that changes.
    function drawShown() {
      const shown = String(model.get("shown"));
      if ([...history.options].some((option) => option.value === shown)) history.value = shown;
    }

    function drawForm() {
      const given = model.get("form");
      if (given.revision === drawn) return; // an echo of what was typed here
      drawn = given.revision;
      clearTimeout(timer);
      timer = null;
      chosen = [...given.deployments];
      settings = { ...given.settings };
      turns.set(given.turns, model.get("pictures").slice(1));
      values = { ...given.values };
      scores = [...given.scores];
      kind[given.api].checked = true;
      system.value = given.system;
      prompt.value = given.prompt;
      schema.set(given.schema);
      fallbacks.value = given.fallbacks.join(", ");
      repeats.value = given.repeats;
      const { stop, ...parameters } = given.parameters;
      for (const name of Object.keys(numbers)) {
        numbers[name].value = parameters[name] ?? "";
        if (numbers[name].follow) numbers[name].follow();
        delete parameters[name];
      }
      others = parameters;
      const ends = stop === undefined ? [] : Array.isArray(stop) ? stop : [stop];
      stops.value = ends.map((each) => each.replaceAll("\n", "\\n").replaceAll("\t", "\\t")).join("\n");
      delete variables.dataset.key;
      drawKind();
      drawChips();
      drawList();
      drawVariables();
      drawScorers();
      drawShown();
    }

    function drawKind() { system.parentElement.hidden = kind.text.checked; }

    async function show(text) {
      written.hidden = false;
      code.value = text;
      code.rows = Math.min(16, text.split("\n").length + 1);
      try { await navigator.clipboard.writeText(text); copied.textContent = "Copied to the clipboard."; }
      catch { code.focus(); code.select(); copied.textContent = "Selected: copy it with the keyboard."; }
    }

    function look() {
      if (model.get("models").length || looks >= LOOKS) return;
      looks += 1;
      model.send({ do: "models" });
      setTimeout(() => { if (root.isConnected) look(); }, LOOK_MS);
    }

    grid.addEventListener("input", (event) => { if (event.target !== filter && !chips.contains(event.target) && !list.contains(event.target)) { drawKind(); changed(); } });
    filter.addEventListener("input", drawList);
    filter.addEventListener("focus", () => model.send({ do: "models" }), { once: true });
    filter.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      const text = filter.value.trim();
      const found = drawList();
      const name = found.length === 1 ? found[0] : found.includes(text) ? text : text.indexOf("/") > 0 ? text : null;
      if (name === null) return;
      choose(name, !chosen.includes(name));
      filter.value = "";
      drawList();
    });
    root.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); start(); }
    });

    const unmoved = steady(root);
    const listeners = [
      ...[
        ["form", drawForm], ["told", drawTold], ["told", kept.drawBeside], ["models", drawList], ["missing", drawList],
        ["pictures", drawPictures], ["versions", kept.draw], ["history", drawHistory], ["shown", drawShown], ["line", drawLine],
      ].map(([name, draw]) => ["change:" + name, unmoved(draw)]),
      ["msg:custom", (message) => {
        if (typeof message.code === "string") show(message.code);
        if (Array.isArray(message.diff)) kept.show(message.diff, message.title);
      }],
    ];
    for (const [name, listener] of listeners) model.on(name, listener);
    drawForm();
    drawTold();
    drawHistory();
    drawPictures();
    kept.draw();
    look();
    return () => {
      clearTimeout(timer);
      for (const [name, listener] of listeners) model.off(name, listener);
    };
  },
};
