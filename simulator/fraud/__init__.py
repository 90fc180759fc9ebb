"""Fraudsters and their attacks, and the labels that the shop learns of them."""
