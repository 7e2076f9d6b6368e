"""Search-space families: what can be chosen and which blocks it is made of. No torch here."""
