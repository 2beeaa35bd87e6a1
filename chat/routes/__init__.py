"""HTTP shapes in, HTTP shapes out."""
