"""Owns the parts of a recipe, a module each: what is written, where it is placed, how it looks, of which glyphs."""
