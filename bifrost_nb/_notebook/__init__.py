"""What only a notebook needs: the magic, live views, widgets, the playground.

`static` holds their JavaScript and style sheets.
"""
