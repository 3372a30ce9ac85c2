"""Applying a network to people's image and video files."""
