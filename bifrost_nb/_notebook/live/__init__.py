"""What moves while a call runs.

`watch` (entry point), `race` (several at once) and the views for browser, HTML and terminal.
"""
