"""Turns what Routing ML knows into pages for people, and into JSON for programs."""
