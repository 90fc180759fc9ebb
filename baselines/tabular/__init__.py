"""Point-in-time features of users and the models on them."""
