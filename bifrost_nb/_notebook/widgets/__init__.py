"""Widgets over a comparison's answers: `grid`, `vote`, `compare_live`; each keeps its state apart from its drawing."""
