"""Boltzmann machines of four partitions: energies, block Gibbs sampling, contrastive divergence, log Z, annealers."""
