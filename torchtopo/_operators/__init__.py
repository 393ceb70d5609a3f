"""The operators: `registry` lists and defines them; a file each for the devices that serve them."""
