"""What shoppers do: need, page, click, cart, order, and what follows it."""
