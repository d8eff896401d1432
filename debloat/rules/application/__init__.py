"""The application: what no package brought, and what the image's history says was asked for."""
