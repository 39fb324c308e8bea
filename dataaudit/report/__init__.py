"""Reports: a tree of blocks, built from findings by one function a kind, drawn by any writer."""
