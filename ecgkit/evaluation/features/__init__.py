"""Extracts features of records with a frozen encoder, and caches them."""
