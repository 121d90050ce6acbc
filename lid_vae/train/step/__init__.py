"""One step of a training: of one member, of several at once, and of the optimisers."""
