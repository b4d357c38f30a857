// The blind vote's page: a prompt, two answers without names, one key each. The answers' markup is what Python has
// rendered, put in `place` (safe.js); everything else is textContent.

const make = (tag, name, parent, text) => {
  const node = document.createElement(tag);
  if (name) node.className = "bifrost-" + name;
  if (text !== undefined) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};

const CHOICES = [["1", "1 is better", "1"], ["2", "2 is better", "2"], ["tie", "Tie", "0 or t"], ["skip", "Skip", "s"]];
const KEYS = { 1: "1", 2: "2", 0: "tie", t: "tie", s: "skip" };

export default () => ({
  render({ model, el }) {
    const root = make("div", "board", el);
    root.setAttribute("role", "region");
    root.setAttribute("aria-label", "Blind vote. Keys: 1, 2, t for a tie, s to skip.");
    root.tabIndex = 0;
    // A key pressed here is ours, not the notebook's (there 1 makes a heading). Lumino looks at the focused node itself.
    root.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });

    const bar = make("div", "g-bar", root);
    const count = make("span", "g-count", bar);
    count.setAttribute("aria-live", "polite");
    const end = make("button", "g-button", bar, "End and reveal");
    end.type = "button";
    end.addEventListener("click", () => {
      end.disabled = true;
      count.textContent = "Counting the votes\u2026";
      model.send({ reveal: true });
    });
    const prompt = make("div", "g-asked", root);
    prompt.dir = "auto";
    const images = make("div", "g-pictures", root);
    const pair = make("div", "v-pair", root);
    const sides = [1, 2].map((number) => {
      const side = make("section", "v-side", pair);
      side.setAttribute("aria-label", "Answer " + number);
      make("h3", "v-number", side, "Answer " + number);
      const body = make("div", "v-body", side);
      body.dir = "auto";
      body.tabIndex = 0; // so that the keyboard can scroll it
      body.setAttribute("role", "group");
      body.setAttribute("aria-label", "Text of answer " + number);
      const drawn = make("div", "g-pictures", side);
      return { body, drawn };
    });
    const acts = make("div", "v-acts", root);
    const told = make("div", "v-told", root);
    let ballot; // on display: while a button is pressed the model may be ahead of it
    let seen = -1; // the pair that was voted on; until the next one is here further keys do nothing
    function vote(choice) {
      if (!ballot.open || seen === ballot.number) return;
      seen = ballot.number;
      model.send({ vote: choice, number: ballot.number });
      root.focus({ preventScroll: true });
    }
    for (const [choice, words, key] of CHOICES) {
      const node = make("button", "g-button", acts, words + " ");
      node.type = "button";
      node.setAttribute("aria-keyshortcuts", key.replace(" or ", " "));
      make("kbd", "v-key", node, key).setAttribute("aria-hidden", "true");
      node.addEventListener("click", () => vote(choice));
    }

    function draw() {
      ballot = model.get("ballot");
      count.textContent = ballot.open
        ? `Which answer is better? Pair ${ballot.number + 1} of ${ballot.total}`
        : `All ${ballot.total} pairs are done. End and reveal shows who was who.`;
      for (const node of [prompt, pair, acts]) node.hidden = !ballot.open;
      bar.hidden = Boolean(ballot.told);
      place(told, ballot.told || "");
      prompt.textContent = ballot.prompt || "";
      pictures(images, ballot.open ? ballot.pictures : []);
      sides.forEach(({ body, drawn }, i) => {
        place(body, ballot.answers ? ballot.answers[i] : "");
        body.scrollTop = 0;
        pictures(drawn, ballot.drawn ? ballot.drawn[i] : [], `the picture of answer ${i + 1}`);
        body.hidden = !drawn.hidden && !body.childElementCount;
      });
      if (!ballot.open && root.contains(document.activeElement)) end.focus();
    }

    const press = (event) => {
      if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
      const choice = KEYS[event.key.toLowerCase()];
      if (choice) { event.preventDefault(); vote(choice); }
    };
    const hear = (message) => { if (message.problem) { count.textContent = message.problem; end.disabled = false; } };
    root.addEventListener("keydown", press);
    const redraw = steady(root)(draw);
    model.on("change:ballot", redraw);
    model.on("msg:custom", hear);
    draw();
    return () => { model.off("change:ballot", redraw); model.off("msg:custom", hear); };
  },
});
