"""CaloQVAE: a discrete variational autoencoder of voxelised showers, whose prior is a Boltzmann machine."""
