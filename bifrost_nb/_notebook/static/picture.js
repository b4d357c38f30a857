// Put in front of the pages that show the pictures of a prompt: `pictures(node, urls)` shows those of a prompt.
//
// Python has looked at each; whatever else comes, nothing but a raster image that is here already becomes an element.

const PICTURE = /^data:image\/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+={0,2}$/;

const pictures = (node, urls) => {
  node.replaceChildren();
  for (const url of urls || []) {
    if (!PICTURE.test(url)) continue;
    const image = document.createElement("img");
    image.className = "bifrost-picture";
    image.alt = "a picture of the prompt";
    image.src = url;
    node.append(image);
  }
  node.hidden = !node.childElementCount;
};
