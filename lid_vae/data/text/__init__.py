"""Data of sequences: corpora, their vocabularies, and batches of token ids."""
