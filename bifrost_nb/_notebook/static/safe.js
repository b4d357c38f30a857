// Put in front of the pages that show a rendered answer: `place(node, html)` shows HTML that Python has rendered.
//
// Jupyter's own sanitiser does not see what a widget puts on the page. So although Python has escaped all markup of the
// model, nothing is inserted as it came: the text is parsed into a document of its own, in which nothing runs or loads,
// and every element is made anew, if it is one that the renderer makes, with those attributes that it gives.

const ELEMENTS = new Set(("a b blockquote br code del details div em hr ins li ol p pre s span strong summary table tbody "
  + "td th thead tr ul").split(" "));
const ATTRIBUTES = new Set("aria-level dir href rel role start style target".split(" "));
const ADDRESS = /^(https?:\/\/|mailto:)/i;
const OUTSIDE = /url\s*\(|expression|@import|position\s*:|\\|var\s*\(/i; // what a style could load, or where it could go

const place = (node, html) => {
  node.replaceChildren();
  copyChildren(new DOMParser().parseFromString(html, "text/html").body, node);
};

function copyChildren(from, to) {
  for (const child of from.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) { to.append(child.data); continue; }
    if (child.nodeType !== Node.ELEMENT_NODE) continue;
    if (!ELEMENTS.has(child.localName)) { to.append(child.outerHTML); continue; } // as text: nothing is lost
    const made = document.createElement(child.localName);
    for (const { name, value } of child.attributes) {
      if (!ATTRIBUTES.has(name)) continue;
      if (name === "href" ? ADDRESS.test(value) : name !== "style" || !OUTSIDE.test(value)) made.setAttribute(name, value);
    }
    if (made.target) made.rel = "noopener noreferrer nofollow";
    copyChildren(child, made);
    to.append(made);
  }
}

