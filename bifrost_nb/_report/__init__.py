"""A comparison handed on: one HTML file and back, spreadsheets."""
