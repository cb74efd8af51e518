"""Owns the views of findings: a contact sheet and a page for the browser, a module each."""
