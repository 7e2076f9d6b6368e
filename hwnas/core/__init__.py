"""The nouns and the rules that every other package shares; imports nothing of the rest."""
