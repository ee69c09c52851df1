"""What objects have stored, and what they have written since."""
