// The prompt of a %%bifrost or %%bifrost_nb cell is Markdown, not Python: highlight it so in JupyterLab and Notebook 7.
//
// A prebuilt extension written by hand. A front end asks a prebuilt extension for no more than an object with `init`
// and `get` under its name in `window._JUPYTERLAB`, so there is nothing to build and no package to install.
(() => {
  "use strict";

  const NAME = "bifrost-nb-highlight";
  const MAGIC = /^\s*%%bifrost(?:_nb)?(?=\s|$)/;
  const MARKDOWN = "text/x-ipythongfm"; // with formulas, as in the notebook's own Markdown cells
  const LANGUAGE = "markdown"; // what CodeMirror then writes into the editor's data-language
  const CLASS = "bifrost-cell";

  // The magic line is no prompt: one colour that can be read in every theme, whatever Markdown makes of the line.
  // Only the cell's first line ever is a first child: CodeMirror puts a gap in the place of lines scrolled out.
  const STYLE = `
    .${CLASS} .cm-line:first-child, .${CLASS} .cm-line:first-child * {
      color: var(--jp-content-link-color, #0b63c5) !important;
      font-size: inherit !important; font-style: normal !important; font-weight: normal !important;
      text-decoration: none !important;
    }`;

  const isOurs = (model) => MAGIC.test(model.sharedModel.getSource().slice(0, 200));

  /** Keeps the cells of one notebook panel in the language of what they hold, until it is disposed. */
  class Highlighter {
    constructor(panel) {
      this.notebook = panel.content;
      this.cells = panel.context.model.cells;
      this.watched = new WeakSet();
      this.isDisposed = false;
      this.cells.changed.connect(this.watchAll, this);
      this.observer = new MutationObserver((changes) => changes.forEach((change) => this.arrived(change.target)));
      this.observer.observe(this.notebook.node, { subtree: true, attributeFilter: ["data-language"] });
      this.watchAll();
    }

    watchAll() {
      for (const model of this.cells) {
        if (model.type !== "code" || this.watched.has(model)) continue;
        this.watched.add(model);
        const update = () => this.update(model);
        model.sharedModel.changed.connect(update);
        model.mimeTypeChanged.connect(update); // the notebook sets its own when the kernel tells its language
        update();
      }
    }

    update(model) {
      if (this.isDisposed) return;
      const ours = isOurs(model);
      if (ours) model.mimeType = MARKDOWN;
      else if (model.mimeType === MARKDOWN) model.mimeType = this.notebook.codeMimetype;
      this.cellOf((cell) => cell.model === model)?.node.classList.toggle(CLASS, ours);
    }

    // Editors load languages on demand, and the last one to arrive wins: Python may come after Markdown was asked for.
    // It also is the moment when a cell's editor shows up for the first time.
    arrived(editor) {
      const cell = this.cellOf((each) => each.node.contains(editor));
      if (!cell || !this.watched.has(cell.model)) return;
      this.update(cell.model);
      const language = editor.getAttribute("data-language");
      if (!isOurs(cell.model) || !language || language === LANGUAGE) return;
      cell.model.mimeType = "text/plain"; // update() answers with Markdown, which the editor then takes anew
    }

    cellOf(condition) {
      return this.notebook.widgets.find(condition);
    }

    dispose() {
      this.isDisposed = true;
      this.observer.disconnect();
      this.cells.changed.disconnect(this.watchAll, this);
    }
  }

  const plugin = {
    id: `${NAME}:plugin`,
    description: "Reads the prompt of a %%bifrost cell as Markdown instead of Python.",
    autoStart: true,
    activate: (app) => {
      document.head.append(Object.assign(document.createElement("style"), { textContent: STYLE }));
      app.docRegistry.addWidgetExtension("Notebook", { createNew: (panel) => new Highlighter(panel) });
    },
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB[NAME] = { init: async () => {}, get: async () => () => ({ __esModule: true, default: plugin }) };
})();
