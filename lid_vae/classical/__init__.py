"""Classical latent-variable models with exact answers: the supplement's section A, and known answers for the rest."""
