// Put in front of the pages that show the pictures of a prompt: `pictures(node, urls)` shows those of a prompt or an
// answer, and players of sound.
//
// Python has looked at each; whatever else comes, nothing but a raster image or a sound that is here already becomes an element.

const PICTURE = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/;

const SOUND = /^data:audio\/(mpeg|wav|ogg|flac|aac|webm|mp4);base64,[A-Za-z0-9+/]+={0,2}$/;

const pictures = (node, urls, said = "a picture of the prompt") => {
  node.replaceChildren();
  for (const url of urls || []) {
    if (SOUND.test(url)) {
      const player = document.createElement("audio");
      player.controls = true;
      player.preload = "metadata";
      player.className = "bifrost-player";
      player.src = url;
      node.append(player);
      continue;
    }
    if (!PICTURE.test(url)) continue;
    const image = document.createElement("img");
    image.className = "bifrost-picture";
    image.alt = said;
    image.src = url;
    node.append(image);
  }
  node.hidden = !node.childElementCount;
};
