"""Owns the views of what was found: a contact sheet and a page for the browser, a module each."""
