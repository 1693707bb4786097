"""Encoder and decoders of the qvae."""
