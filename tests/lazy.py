"""Libraries of a few tests that are loaded when they are used.

Every process of the tests reads every file. nbformat and what stands on it load jsonschema, which builds grammars for
four seconds.
"""

import lazy_loader

jsonschema, nbclient, nbconvert, nbformat = map(lazy_loader.load, ("jsonschema", "nbclient", "nbconvert", "nbformat"))
