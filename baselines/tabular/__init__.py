"""Point-in-time features of users, and what models on such tables share."""
