"""What one write, one peer and one idle second cost a node."""
