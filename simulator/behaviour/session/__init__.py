"""One visit to the shop: what it is about, the pages, the clicks, the cart, the order."""
