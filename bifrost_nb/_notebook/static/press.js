// Put in front of the pages that change while somebody clicks: `steady(root)` returns what makes a way of drawing wait
// while a button of the mouse is down in `root`, or the space bar on a button there.
//
// What moved between press and release, or was made anew, would get no click: the browser gives it to what both happened on.

const HELD_MS = 1000; // no press is waited for longer: the end of one on a list that opens may never be told

const steady = (root) => {
  const waiting = new Set();
  let timer = null;
  const release = () => {
    clearTimeout(timer);
    timer = null;
    const draws = [...waiting];
    waiting.clear();
    for (const draw of draws) draw();
  };
  const soon = () => setTimeout(release); // the click itself comes first
  const hold = (...ends) => {
    if (timer !== null) return;
    timer = setTimeout(release, HELD_MS);
    for (const end of ends) window.addEventListener(end, soon, { capture: true, once: true });
  };
  root.addEventListener("pointerdown", (event) => {
    if (event.button === 0) hold("pointerup", "pointercancel");
  }, { capture: true });
  root.addEventListener("keydown", (event) => { // a space bar clicks when it goes up
    if (event.key === " " && !event.repeat && event.target.closest("button, summary, [type=checkbox]")) hold("keyup");
  }, { capture: true });
  return (draw) => () => { if (timer === null) draw(); else waiting.add(draw); };
};
