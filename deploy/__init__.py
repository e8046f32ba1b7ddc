"""What a deployment is made of: the broker's artifacts and settings."""
