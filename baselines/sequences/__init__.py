"""What next-item models without gradients share."""
