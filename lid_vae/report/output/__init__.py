"""Tables as Markdown, LaTeX, terminal text and a page with pictures."""
