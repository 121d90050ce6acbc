"""What is drawn of a trained model: its latents, samples, reconstructions and categories, as figures."""
