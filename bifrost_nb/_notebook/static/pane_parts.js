// Parts of the live pane that know nothing of its columns: the words for a screen reader, the stream of frames.

const HEARD_MS = 60000; // what was said stays for a screen reader that is still busy with earlier words
const HIDDEN = "position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap";

// Says things to a screen reader. It stands beside the pane, which is taken away in the moment in which its end is said,
// and each saying is an element of its own, so that two in one moment are both heard.
function makeSpeaker() {
  const root = document.createElement("div");
  root.className = "bifrost-speaker";
  root.style.cssText = HIDDEN; // the style sheet may be gone before it
  root.setAttribute("aria-live", "polite");
  document.body.append(root);
  return {
    say(words) {
      const saying = document.createElement("p");
      saying.textContent = words.trim();
      root.append(saying);
      while (root.childElementCount > 20) root.firstChild.remove();
    },
    leave(then) { setTimeout(() => { root.remove(); then(); }, HEARD_MS); },
  };
}

// Takes a deflated stream in pieces and hands on the frames in it.
function inflate(take, failed) {
  const stream = new DecompressionStream("deflate-raw");
  const writer = stream.writable.getWriter();
  let open = true;
  const read = async () => {
    const reader = stream.readable.pipeThrough(new TextDecoderStream()).getReader();
    for (let rest = "", lines; open; ) {
      const { value, done } = await reader.read();
      if (done || !open) return;
      [rest, ...lines] = (rest + value).split("\n").reverse();
      lines.reverse().forEach((line) => take(JSON.parse(line)));
    }
  };
  read().catch(() => { if (open) failed(); });
  return {
    write(bytes) { writer.write(bytes).catch(() => {}); }, // `read` tells
    leave() { open = false; writer.abort().catch(() => {}); },
  };
}
