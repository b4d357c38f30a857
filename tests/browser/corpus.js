// Watches everything that is put on a page: `window.__suspects` collects what could run, load or reach out of its
// place, `window.__marks` the marks ("mark123") of the answers that were really there.
(() => {
  const active = new Set(("SCRIPT IFRAME FRAME FRAMESET OBJECT EMBED APPLET PORTAL LINK META BASE STYLE TEMPLATE IMG "
    + "PICTURE SOURCE VIDEO AUDIO SVG MATH DIALOG MARQUEE").split(" "));
  const controls = new Set(["FORM", "INPUT", "BUTTON", "SELECT", "TEXTAREA"]);
  const loading = ["src", "srcset", "poster", "background", "action", "formaction", "data", "srcdoc", "xlink:href"];

  window.suspect = (element) => {
    // MathJax makes MathML for screen readers, and "#" of a reference that it cannot resolve.
    if (element.closest("mjx-container")) {
      return element.matches("script, img, iframe, [src]") || [...element.attributes].some(({ name, value }) =>
        name.startsWith("on") || (name.endsWith("href") && !/^(#$|https?:)/.test(value)));
    }
    const ours = /(^|\s)(bifrost-|jp-|widget-|jupyter-|lm-)/.test(element.getAttribute("class") || "")
      || element.closest(".bifrost-playground-box form, .bifrost-board form, .bifrost-pg-root") !== null;
    if (active.has(element.tagName.toUpperCase())) return true;
    if (controls.has(element.tagName) && !ours) return true;
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on")) return true;
      if (name === "href" && !/^(https?:\/\/[^/]|mailto:)/.test(value)) return true;
      if (loading.includes(name)) return true;
      if (name === "style" && /url\(|fixed|expression|binding|behavior|@import/i.test(value)) return true;
      if ((name === "id" || name === "name") && /^(jp-main-dock-panel|jupyterapp|document|cookie)$/.test(value)) return true;
    }
    return false;
  };

  window.__suspects = [];
  window.__marks = new Set();
  window.__live = new Set(); // those that were seen while they streamed
  window.__rendered = new Set(); // and as rendered in the pane
  const look = window.look = (node) => {
    for (const [mark] of (node.textContent || "").matchAll(/mark\d{3}/g)) {
      window.__marks.add(mark);
      const pane = node.parentElement?.closest(".bifrost-text");
      if (pane) (pane.matches(".bifrost-rendered") ? window.__rendered : window.__live).add(mark);
    }
    if (node.nodeType !== Node.ELEMENT_NODE) return;
    for (const one of [node, ...node.querySelectorAll("*")]) {
      const shown = one.closest(".jp-OutputArea-output") !== null && one.parentElement !== null;
      if (shown && window.suspect(one)) window.__suspects.push(one.outerHTML.slice(0, 300));
    }
  };
  new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "childList") change.addedNodes.forEach(look);
      else look(change.target);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
})();
