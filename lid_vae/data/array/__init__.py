"""Data of vectors: points and images, as tensors on the training device."""
