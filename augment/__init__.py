"""The central team's side: few real images in, a better classifier and an honest verdict out."""
