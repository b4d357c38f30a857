"""How our objects show themselves: text, Markdown and HTML, made safe."""
