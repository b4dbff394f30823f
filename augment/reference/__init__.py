"""`rarefault benchmark reference`: the experiment that the product's reference figures are about, in one command."""
