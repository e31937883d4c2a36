"""Turns an item master as it is into features: clean columns, words, numbers, similarities."""
