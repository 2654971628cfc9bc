"""Tests that open pages in a headless browser."""
