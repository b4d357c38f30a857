// Parts of the playground's form: a column's own settings, the earlier turns, the schema of answers, the kept prompts. Put in front of it.
//
// Each gets the page's own makers (`make`, `field`, `button`, `input`) and says through `changed` that something was typed.

const OWN_NUMBERS = [
  ["temperature", "Temperature", { min: 0, max: 2, step: 0.1 }],
  ["top_p", "Top p", { min: 0, max: 1, step: 0.05 }],
  ["max_tokens", "Max tokens", { min: 1, step: 1 }],
  ["seed", "Seed", { step: 1 }],
];

// The settings of one column, which take the place of the shared ones; what is empty is as for all.
function columnSettings({ make, field, input }, parent, column, own, shared, take) {
  const panel = make("div", "own", parent);
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", "Settings of " + column);
  make("div", "quiet", panel, column + ": what is empty here is as for all");
  const numbers = make("div", "parameters", panel);
  for (const [name, label, limits] of OWN_NUMBERS) {
    const control = field(numbers, "own-" + name, label, input("number", { placeholder: shared(name), ...limits }));
    control.value = own[name] ?? "";
    control.addEventListener("input", () => take(name, control.value.trim() === "" ? null : Number(control.value)));
  }
  const system = field(panel, "own-system", "System", input("textarea", { rows: 2, placeholder: shared("system") }));
  system.value = own.system ?? "";
  system.addEventListener("input", () => take("system", system.value || null));
  return panel;
}

// A short word for what a column has of its own.
const ownWords = (own) => Object.entries(own)
  .filter(([name]) => name !== "deployment")
  .map(([name, value]) => (typeof value === "number" ? name.replaceAll("_", " ") + " " + value : name.replaceAll("_", " ")))
  .join(", ");

// Earlier turns: [role, text, the place of the turn whose pictures it has].
function earlierTurns({ make, button, input }, parent, changed) {
  const box = make("div", "turns", parent);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Earlier turns");
  const list = make("ol", "turnlist", box);
  let turns = [];
  let urls = [];

  function draw(focus) {
    list.replaceChildren();
    list.hidden = !turns.length;
    turns.forEach((turn, place) => {
      const item = make("li", "turn", list);
      const head = make("div", "turnhead", item);
      const role = input("select");
      role.setAttribute("aria-label", "Who says turn " + (place + 1));
      for (const name of ["user", "assistant"]) make("option", "", role, name).value = name;
      role.value = turn[0];
      role.addEventListener("change", () => { turn[0] = role.value; changed(); });
      head.append(role);
      const remove = button(head, "\u00d7", "remove", () => { turns.splice(place, 1); draw(place - 1); changed(); });
      remove.setAttribute("aria-label", "Remove turn " + (place + 1));
      const text = input("textarea", { rows: Math.min(8, 1 + turn[1].split("\n").length), value: turn[1] });
      text.setAttribute("aria-label", "Turn " + (place + 1));
      text.addEventListener("input", () => { turn[1] = text.value; changed(); });
      item.append(text);
      pictures(make("div", "thumbs", item), urls[turn[2]]);
      if (place === focus) text.focus();
    });
  }

  const add = button(box, "Add a turn", "button", () => {
    turns.push([turns.length && turns[turns.length - 1][0] === "user" ? "assistant" : "user", "", -1]);
    draw(turns.length - 1);
    changed();
  });
  add.classList.add("bifrost-pg-small");
  return {
    // To Python; from then on a turn's pictures are at the place that it has now, and so are they here.
    take() {
      const given = turns.map((turn) => [...turn]);
      urls = turns.map((turn) => urls[turn[2]] || []);
      turns.forEach((turn, place) => { turn[2] = place; });
      return given;
    },
    set(given, pictured) { turns = given.map((turn) => [...turn]); urls = pictured; draw(); },
  };
}

// What was said before in conversations of the columns' own: to be read; what is said next goes behind each of them.
function ownChats({ make, button }, parent, forget) {
  const box = make("div", "chats", parent);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Each column's own conversation");
  box.hidden = true;
  const list = make("div", "", box);
  button(box, "Forget these conversations", "button", forget).classList.add("bifrost-pg-small");
  return {
    draw(chats) {
      box.hidden = !chats.length;
      const key = JSON.stringify(chats);
      if (list.dataset.key === key) return;
      list.dataset.key = key;
      list.replaceChildren();
      for (const [column, turns] of chats) {
        const one = make("details", "chat", list);
        make("summary", "", one, column + ": " + turns.length + " earlier turns of its own");
        for (const [role, text] of turns) {
          const turn = make("div", "turn", one);
          make("div", "quiet", turn, role);
          make("div", "chattext", turn, text);
        }
      }
    },
  };
}

// What answers must look like: a JSON schema, typed or pasted, and what Python says of it.
function answerSchema({ make, field, input }, parent) {
  const example = '{"type": "object", "properties": {"city": {"type": "string"}}}';
  const text = field(parent, "schema", "Answer schema, as JSON; empty takes any answer", input("textarea", { rows: 1, placeholder: example, spellcheck: false }));
  text.parentElement.classList.add("bifrost-pg-schema");
  const said = make("div", "quiet", text.parentElement);
  said.id = text.id + "-said";
  said.setAttribute("role", "status");
  text.setAttribute("aria-describedby", said.id);
  const fit = () => { text.rows = Math.max(1, Math.min(12, text.value.split("\n").length)); };
  text.addEventListener("input", fit);
  return {
    take: () => text.value,
    set(given) { text.value = given; fit(); },
    say([words, wrong]) {
      said.textContent = wrong || words;
      said.hidden = !said.textContent;
      text.setAttribute("aria-invalid", String(Boolean(wrong)));
    },
  };
}

// The kept prompts: keep under a name, fill in again, and what changed in words.
function keptPrompts({ make, button, input }, parent, model, send) {
  const box = make("div", "group bifrost-pg-kept", parent);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Kept prompts");
  const name = input("text", { placeholder: "v1", maxLength: 60, spellcheck: false });
  name.setAttribute("aria-label", "Name to keep the prompt by");
  name.classList.add("bifrost-pg-short");
  const choice = input("select");
  choice.setAttribute("aria-label", "Kept prompt");
  const against = input("select");
  against.setAttribute("aria-label", "Compare with");
  const keep = () => { send({ do: "keep", name: name.value }); name.value = ""; };
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) { event.preventDefault(); keep(); }
  });
  box.append(name);
  button(box, "Keep prompt", "button", keep);
  const several = make("span", "group", box);
  several.append(choice);
  button(several, "Use", "button", () => send({ do: "use", name: choice.value }));
  const changes = make("span", "group", several); // the words stay with what they are about where a page is narrow
  make("span", "quiet", changes, "changes to");
  changes.append(against);
  button(changes, "Show changes", "button", () => send({ do: "diff", name: choice.value, to: against.value }));

  const beside = make("div", "group bifrost-pg-beside", parent);
  beside.setAttribute("role", "group");
  beside.setAttribute("aria-label", "Prompts asked side by side");

  const shown = make("div", "diff", parent);
  shown.hidden = true;
  const title = make("div", "quiet", shown);
  title.setAttribute("role", "status");
  const text = make("div", "difftext", shown);
  text.tabIndex = 0;
  text.setAttribute("role", "region");
  text.setAttribute("aria-label", "Changes");
  button(shown, "Hide changes", "button", () => { shown.hidden = true; });

  // A box for each kept prompt; what is filled in is asked too, which the words after them say.
  function drawBeside(names) {
    const chosen = model.get("told").beside || [];
    const wanted = JSON.stringify([names, chosen]);
    if (beside.dataset.drawn === wanted) return;
    const focused = beside.contains(document.activeElement) ? document.activeElement.value : null;
    beside.dataset.drawn = wanted;
    beside.hidden = !names.length;
    beside.replaceChildren();
    make("span", "quiet", beside, "Ask side by side");
    for (const each of names) {
      const label = make("label", "", beside);
      const box = make("input", "", label);
      box.type = "checkbox";
      box.value = each;
      box.checked = chosen.includes(each);
      box.addEventListener("change", () => send({
        do: "beside",
        names: [...beside.querySelectorAll("input")].filter((one) => one.checked).map((one) => one.value),
      }));
      label.append(each);
      if (each === focused) box.focus();
    }
    if (chosen.length) make("span", "quiet", beside, "and what is filled in, where that is another text");
  }

  return {
    drawBeside: () => drawBeside(model.get("versions").map(([each]) => each)),
    draw() {
      const versions = model.get("versions");
      several.hidden = !versions.length;
      const before = [choice.value, against.value];
      choice.replaceChildren();
      against.replaceChildren();
      make("option", "", against, "what is filled in").value = "";
      for (const [each, line] of versions) {
        make("option", "", choice, line).value = each;
        make("option", "", against, each).value = each;
      }
      const names = versions.map(([each]) => each);
      choice.value = names.includes(before[0]) ? before[0] : names[names.length - 1] ?? "";
      against.value = names.includes(before[1]) ? before[1] : "";
      let number = 1;
      while (names.includes("v" + number)) number += 1;
      name.placeholder = "v" + number;
      drawBeside(names);
    },
    show(parts, words) {
      shown.hidden = false;
      const same = parts.every(([kind]) => kind === "same");
      title.textContent = words + (same ? ": nothing changes" : "");
      text.replaceChildren();
      const tags = { removed: "del", added: "ins" };
      for (const [kind, words] of parts) make(tags[kind] || "span", "", text, words);
      text.focus();
    },
  };
}
