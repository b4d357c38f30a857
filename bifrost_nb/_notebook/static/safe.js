// Put in front of the pages that show a rendered answer: `place(node, html)` shows HTML that Python has rendered.
//
// Jupyter's own sanitiser does not see what a widget puts on the page. So although Python has escaped all markup of the
// model, nothing is inserted as it came: the text is parsed into a document of its own, in which nothing runs or loads,
// and every element is made anew, if it is one that the renderer makes, with those attributes that it gives. Pictures and
// sound are those that are here already: raster images and players with a `data:` address.

const ELEMENTS = new Set(("a audio b blockquote br code del details div em hr img ins li ol p pre s span strong summary table tbody "
  + "td th thead tr ul").split(" "));
const ATTRIBUTES = new Set("alt aria-level controls dir href preload rel role src start style target".split(" "));
const MEDIA = { img: /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/, audio: /^data:audio\/[a-z0-9]{2,8};base64,[A-Za-z0-9+/]+={0,2}$/ };
const ADDRESS = /^(https?:\/\/|mailto:)/i;
const OUTSIDE = /url\s*\(|expression|@import|position\s*:|\\|var\s*\((?!--(jp-shadow-base-lightness|bf-dark)\b)/i; // what a style could load, or where it could go

const place = (node, html) => {
  node.replaceChildren();
  copyChildren(new DOMParser().parseFromString(html, "text/html").body, node);
};

function copyChildren(from, to) {
  for (const child of from.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) { to.append(child.data); continue; }
    if (child.nodeType !== Node.ELEMENT_NODE) continue;
    if (!ELEMENTS.has(child.localName)) { to.append(child.outerHTML); continue; } // as text: nothing is lost
    const media = MEDIA[child.localName];
    if (media && !media.test(child.getAttribute("src") || "")) { to.append(child.outerHTML); continue; }
    const made = document.createElement(child.localName);
    for (const { name, value } of child.attributes) {
      if (!ATTRIBUTES.has(name) || (name === "src" && !media)) continue;
      if (name === "href" ? ADDRESS.test(value) : name !== "style" || !OUTSIDE.test(value)) made.setAttribute(name, value);
    }
    if (made.target) made.rel = "noopener noreferrer nofollow";
    copyChildren(child, made);
    to.append(made);
  }
}

