"""Networks that promise nothing: multilayer perceptrons, linear maps, and read-outs of them."""
