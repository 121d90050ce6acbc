"""What a model of sequences says: sentences decoded, reconstructed and interpolated, and what is measured of them."""
