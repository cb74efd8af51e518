"""Owns the commands: a module each, named as the command, with a function of that name; line 1 says what it is for."""
