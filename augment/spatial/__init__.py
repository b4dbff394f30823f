"""The training of the spatial head: what its cells are to learn, its loss, and its fit on a frozen backbone."""
