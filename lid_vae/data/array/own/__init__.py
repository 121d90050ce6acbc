"""A user's own data: arrays and images from files, from folders and from memory."""
